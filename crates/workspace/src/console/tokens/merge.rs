//! Merges an edit with changes that somebody else saved meanwhile.

use super::fields::Draft;

/// Returns the edit `mine` of `base`, made to `theirs` instead.
///
/// A name that I changed is mine. Of each list, what I removed is gone and what I added is there; everything else is theirs.
pub(super) fn merged(base: &Draft, mine: &Draft, theirs: &Draft) -> Draft {
    Draft {
        name: if mine.name == base.name { theirs.name.clone() } else { mine.name.clone() },
        apis: list(&base.apis, &mine.apis, &theirs.apis),
        grants: list(&base.grants, &mine.grants, &theirs.grants),
        referers: list(&base.referers, &mine.referers, &theirs.referers),
        expiration: mine.expiration.clone(),
        custom: mine.custom.clone(),
    }
}

fn list<T: Clone + PartialEq>(base: &[T], mine: &[T], theirs: &[T]) -> Vec<T> {
    let kept = theirs.iter().filter(|item| mine.contains(item) || !base.contains(item));
    let added = mine.iter().filter(|item| !base.contains(item) && !theirs.contains(item));
    kept.chain(added).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::grant_rows::Row;

    fn draft(name: &str, apis: &str, sources: &str) -> Draft {
        let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let row = |source| Row { connection: "dw".to_owned(), kind: "name".to_owned(), source };
        Draft {
            name: name.to_owned(),
            apis: words(apis),
            grants: words(sources).into_iter().map(row).collect(),
            ..Draft::default()
        }
    }

    #[test]
    fn both_edits_are_kept() {
        for (mine, theirs, want, why) in [
            (("a", "maps", "x"), ("b", "maps sql", "x y"), ("b", "maps sql", "x y"), "only theirs"),
            (("c", "maps sql", "x z"), ("a", "maps", "x"), ("c", "maps sql", "x z"), "only mine"),
            (("c", "maps sql", "x z"), ("b", "maps lds", "x y"), ("c", "maps lds sql", "x y z"), "both add"),
            (("a", "", "z"), ("a", "maps", "x y"), ("a", "", "y z"), "I remove, they add"),
            (("a", "maps sql", "x"), ("a", "maps sql", ""), ("a", "maps sql", ""), "both add the same, they remove"),
        ] {
            let draft = |(name, apis, sources)| draft(name, apis, sources);
            assert_eq!(merged(&draft(("a", "maps", "x")), &draft(mine), &draft(theirs)), draft(want), "{why}");
        }
    }
}
