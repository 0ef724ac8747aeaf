//! Lines and columns of JSON paths.

use std::ops::Range;

use super::{Diagnostic, Input, Severity};
use crate::definition::{LineIndex, Position, SyntaxError, Target, locate};
use crate::lower::{Part, Problem};
use portcullis::base::{JsonPath, Step};

/// A diagnostic before its line and column are known.
pub(super) struct Draft {
    pub(super) severity: Severity,
    pub(super) problem: Problem,
}

impl Draft {
    pub(super) fn error(problem: Problem) -> Self {
        Self { severity: Severity::Error, problem }
    }

    pub(super) fn syntax(document: usize, error: &SyntaxError, text: &str) -> Self {
        Self::error(Problem {
            document,
            path: JsonPath::root(),
            part: Part::Value,
            offset: Some(error.offset()),
            code: "json_syntax",
            message: error.message().to_owned().into(),
            help: if let Some(help) = not_json(text, error.offset()) {
                help.into()
            } else if error.is_cut_off() {
                "the end of the text is missing: copy or download it again".into()
            } else {
                "write an object with `tokens`, a list of tokens, or one token a line".into()
            },
        })
    }
}

/// Returns the fix for what other programs write into JSON at `offset`: marks of a merge, comments, NUL bytes.
fn not_json(text: &str, offset: usize) -> Option<&'static str> {
    let rest = text.get(offset..)?;
    let line = text.get(..offset)?.rsplit('\n').next()?.len();
    let line = text.get(offset - line..)?.trim_start();
    let starts = |marks: &[&str]| marks.iter().any(|mark| line.starts_with(mark) || rest.starts_with(mark));
    if starts(&["<<<<<<<", "=======", ">>>>>>>", "|||||||"]) {
        Some("resolve the conflict of the merge: `git status` lists the files with one")
    } else if starts(&["//", "/*", "#"]) {
        Some("remove the comments: JSON has none")
    } else if rest.starts_with('\0') {
        Some("remove the NUL bytes: `tr -d '\\0'`")
    } else {
        None
    }
}

/// The position of a value in the text of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The span in bytes.
    pub span: Range<usize>,
    /// The line and column of its start.
    pub start: Position,
    /// The line and column after its end.
    pub end: Position,
}

/// Returns the positions of the values at `paths`, each a JSON path in the input with that index; `None` for a value
/// that does not exist.
///
/// Searches each text once for all of its paths.
///
/// ```
/// use portcullis::base::JsonPath;
/// use portcullis_document::load::{Input, spots};
///
/// let input = Input::new("policy.json", r#"{"tokens": [{"id": "a"}]}"#);
/// let id = JsonPath::root().key("tokens").index(0).key("id");
/// let found = spots(&[input], &[(0, &id)]);
/// assert_eq!(found[0].as_ref().map(|spot| spot.start.column), Some(20));
/// ```
pub fn spots(inputs: &[Input], paths: &[(usize, &JsonPath)]) -> Vec<Option<Spot>> {
    let mut found = vec![None; paths.len()];
    for (at, input) in inputs.iter().enumerate() {
        let (here, targets): (Vec<_>, Vec<_>) = paths
            .iter()
            .enumerate()
            .filter(|(_, (document, _))| *document == at)
            .map(|(index, &(_, path))| (index, Target::Value(path)))
            .unzip();
        if here.is_empty() {
            continue;
        }
        let lines = LineIndex::new(input.text());
        for (index, span) in here.into_iter().zip(locate(input.text(), &targets)) {
            let spot = span.map(|span| Spot { start: lines.position(span.start), end: lines.position(span.end), span });
            if let Some(found) = found.get_mut(index) {
                *found = spot;
            }
        }
    }
    found
}

/// Finds the line and column of each draft. Searches each text once.
pub(super) fn spot(inputs: &[Input], mut found: Vec<Draft>) -> Vec<Diagnostic> {
    found.sort_by_key(|found| found.problem.document);
    let mut diagnostics = Vec::with_capacity(found.len());
    let mut found = found.into_iter().peekable();
    for (at, input) in inputs.iter().enumerate() {
        let mut here = Vec::new();
        while let Some(found) = found.next_if(|found| found.problem.document == at) {
            here.push(found);
        }
        if here.is_empty() {
            continue;
        }
        let spans = spans(input.text(), &here);
        let lines = LineIndex::new(input.text());
        let first = diagnostics.len();
        for (Draft { severity, problem }, span) in here.into_iter().zip(spans) {
            // Without a text that the user has, a position means nothing.
            let is_shown = !input.is_generated();
            let position = if is_shown { lines.position(span.start) } else { Position { line: 0, column: 0 } };
            diagnostics.push(Diagnostic {
                severity,
                code: problem.code,
                file: input.name().to_owned(),
                path: problem.path.to_string(),
                line: position.line,
                column: position.column,
                span: Some(span).filter(|_| is_shown),
                message: problem.message,
                help: problem.help,
            });
        }
        if let Some(here) = diagnostics.get_mut(first..) {
            here.sort_by_key(|found| (found.line, found.column));
        }
    }
    diagnostics
}

/// Returns the span of each draft; if its JSON path does not exist, the span of the nearest value around it.
fn spans(text: &str, found: &[Draft]) -> Vec<Range<usize>> {
    let mut spans: Vec<Option<Range<usize>>> =
        found.iter().map(|found| found.problem.offset.map(|at| at..end(text, at))).collect();
    let targets: Vec<Target<'_>> = found.iter().map(|found| found.problem.target()).collect();
    for (span, located) in spans.iter_mut().zip(locate(text, &targets)) {
        *span = span.take().or(located);
    }
    // Few paths do not exist.
    let mut around: Vec<(usize, JsonPath)> = spans
        .iter()
        .enumerate()
        .filter(|(_, span)| span.is_none())
        .filter_map(|(at, _)| Some((at, parent(&found.get(at)?.problem.path)?)))
        .collect();
    while !around.is_empty() {
        let targets: Vec<Target<'_>> = around.iter().map(|(_, path)| Target::Value(path)).collect();
        let located = locate(text, &targets);
        let mut missing = Vec::new();
        for ((at, path), located) in around.into_iter().zip(located) {
            match (located, spans.get_mut(at)) {
                (Some(located), Some(span)) => *span = Some(located),
                _ => missing.extend(parent(&path).map(|path| (at, path))),
            }
        }
        around = missing;
    }
    spans.into_iter().map(|span| shown(text, span.unwrap_or_default())).collect()
}

/// Shortens the span of an object or list to its opening bracket: what it holds is not the problem, and may be a
/// secret.
fn shown(text: &str, span: Range<usize>) -> Range<usize> {
    match text.as_bytes().get(span.start) {
        Some(b'{' | b'[') if !span.is_empty() => span.start..span.start + 1,
        _ => span,
    }
}

/// Returns the end of the character at byte `at`.
fn end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |character| at + character.len_utf8())
}

fn parent(path: &JsonPath) -> Option<JsonPath> {
    let (_, around) = path.steps().split_last()?;
    Some(around.iter().fold(JsonPath::root(), |path, step| match step {
        Step::Key(key) => path.key(key.clone()),
        Step::Index(index) => path.index(*index),
    }))
}
