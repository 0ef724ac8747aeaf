//! Finds the patterns that cover a name with `globset` and `regex`.

use std::time::Duration;

use cpu_time::ThreadTime;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use portcullis::name::{Dialect, Name};
use portcullis::pattern::Pattern;
use portcullis_audit::coverage::{Kernel, Matches};
use regex::bytes::{RegexSet, RegexSetBuilder};

/// A set of patterns that finds the indexes of the patterns that cover a name, in ascending order.
pub trait Peer {
    fn covering(&mut self, name: &str, found: &mut Vec<usize>);
}

/// One `GlobSet`. Dots are replaced with slashes, which its stars do not span.
pub struct Globs {
    set: GlobSet,
    path: String,
}

/// One `RegexSet`.
pub struct Regexes(RegexSet);

/// Each pattern by itself.
pub struct Each(Vec<Pattern>);

impl Globs {
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let glob = GlobBuilder::new(&pattern.replace('.', "/")).literal_separator(true).build();
            set.add(glob.map_err(|error| error.to_string())?);
        }
        Ok(Self { set: set.build().map_err(|error| error.to_string())?, path: String::new() })
    }
}

impl Regexes {
    /// Compiles the patterns. Fails if the set is larger than one GiB.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let expressions =
            patterns.iter().map(|pattern| format!("^{}$", regex::escape(pattern).replace("\\*", "[^.]*")));
        let built =
            RegexSetBuilder::new(expressions).unicode(false).size_limit(1 << 30).dfa_size_limit(1 << 28).build();
        built.map(Self).map_err(|error| error.to_string())
    }
}

impl Each {
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let read = |pattern: &String| Pattern::parse(pattern, Dialect::Generic).map_err(|error| error.to_string());
        patterns.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl Peer for Globs {
    fn covering(&mut self, name: &str, found: &mut Vec<usize>) {
        self.path.clear();
        self.path.extend(name.chars().map(|c| if c == '.' { '/' } else { c }));
        self.set.matches_into(&self.path, found);
    }
}

impl Peer for Regexes {
    fn covering(&mut self, name: &str, found: &mut Vec<usize>) {
        found.clear();
        found.extend(self.0.matches(name.as_bytes()));
    }
}

impl Peer for Each {
    fn covering(&mut self, name: &str, found: &mut Vec<usize>) {
        found.clear();
        let Ok(name) = Name::parse(name, Dialect::Generic) else { return };
        found.extend(self.0.iter().enumerate().filter(|(_, pattern)| pattern.covers(&name)).map(|(at, _)| at));
    }
}

/// The results of a peer.
pub struct Measured {
    pub build: Duration,
    /// The nanoseconds for each name.
    pub name: f64,
    /// The number of names with another result than that of Portcullis.
    pub disagree: usize,
    /// The number of tested names.
    pub tested: usize,
}

/// Builds a peer and measures it for about `time`, on names from all parts of the catalog.
pub fn measure<P: Peer>(
    build: impl FnOnce() -> Result<P, String>,
    kernel: &Kernel,
    names: &[String],
    time: Duration,
) -> Result<Measured, String> {
    let begun = ThreadTime::now();
    let mut peer = build()?;
    let build = begun.elapsed();
    let (mut found, mut matches, mut disagree, mut tested) = (Vec::new(), Matches::default(), 0, 0);
    let mut took = Duration::ZERO;
    // Short runs of adjacent names, from all parts of the catalog.
    let starts = (0_usize..).map(|turn| turn * 7919 * 8 % names.len());
    for start in starts {
        let names = &names[start..names.len().min(start + 8)];
        kernel.covering(names.iter().map(String::as_str), &mut matches);
        for (at, name) in names.iter().enumerate() {
            let begun = ThreadTime::now();
            peer.covering(name, &mut found);
            took += begun.elapsed();
            tested += 1;
            let same = matches.get(at).unwrap_or_default().iter().map(|&id| id as usize).eq(found.iter().copied());
            disagree += usize::from(!same);
        }
        if took > time {
            break;
        }
    }
    Ok(Measured { build, name: took.as_nanos() as f64 / tested as f64, disagree, tested })
}
