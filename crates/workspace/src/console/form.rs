//! Fields of a form or a query, in the order in which they were sent.

use url::form_urlencoded;

/// The fields of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded` text. Browsers send each line break as CR and LF, whatever the field had.
    pub(super) fn read(text: &[u8]) -> Self {
        let fields = form_urlencoded::parse(text);
        Self(fields.map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n"))).collect())
    }

    /// Returns the first value of the field; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Returns the first value of the field without spaces around it, unless nothing is left.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|value| !value.is_empty())
    }

    /// Returns every value of the field.
    pub(super) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the lines of the field that are not blank.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        self.get(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
    }

    /// Returns the fields, without those in `except`, as a query.
    pub(super) fn query_without(&self, except: &[&str]) -> String {
        let kept = self.0.iter().filter(|(name, value)| !value.is_empty() && !except.contains(&&**name));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn line_breaks_are_those_that_the_user_wrote() {
        let form = Form::read(b"source=SELECT+1+--a%0D%0AFROM+t&lines=%0D%0A+a+%0D%0A%0D%0Ab&empty=+&x=1&x=2");
        assert_eq!(form.get("source"), "SELECT 1 --a\nFROM t");
        assert_eq!(form.lines("lines"), ["a", "b"]);
        assert_eq!(form.filled("empty"), None);
        assert_eq!(form.all("x").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.query_without(&["source", "lines", "x"]), "empty=+");
    }
}
