//! Diagnostics and findings as text: the wrong part of the document is underlined, with one line of context.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, Severity, SourceCode,
    SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};
use portcullis_document::load;

use super::output::printable;

/// The number of bytes that are shown before and after the start of the wrong part.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// The number of characters of a JSON path that are shown: it may contain a name of any length.
const MAX_PATH: usize = 256;

/// Renders the diagnostics of one document.
pub(super) struct Renderer {
    redacted: String,
    handler: GraphicalReportHandler,
}

impl Renderer {
    /// Creates the renderer for `input`.
    pub(super) fn new(input: &load::Input, color: bool) -> Self {
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme { characters: ThemeCharacters::ascii(), styles: ThemeStyles::none() }
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_wrap_lines(false);
        Self { redacted: input.redacted(), handler: handler.with_context_lines(1) }
    }

    /// Appends the rendered annotation to `out`. The cost does not depend on the length of the document.
    pub(super) fn render<'d>(&self, annotation: impl Into<Annotation<'d>>, out: &mut String) -> fmt::Result {
        let annotation = annotation.into();
        let excerpt = annotation.span.clone().map(|span| Excerpt::new(&self.redacted, span, &annotation));
        self.handler.render_report(out, &Shown { annotation, excerpt })?;
        out.write_char('\n')
    }
}

/// A diagnostic or finding that annotates a part of a document.
#[derive(Debug)]
pub(super) struct Annotation<'d> {
    pub(super) severity: Severity,
    /// Severity and code: `error[api_unknown]`.
    pub(super) label: String,
    pub(super) file: &'d str,
    /// The JSON path into the document.
    pub(super) path: &'d str,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) span: Option<Range<usize>>,
    pub(super) message: &'d str,
    pub(super) help: Cow<'d, str>,
}

impl<'d> From<&'d load::Diagnostic> for Annotation<'d> {
    fn from(diagnostic: &'d load::Diagnostic) -> Self {
        let load::Diagnostic { severity, code, file, path, line, column, span, message, help } = diagnostic;
        Self {
            severity: match severity {
                load::Severity::Error => Severity::Error,
                load::Severity::Warning => Severity::Warning,
            },
            label: format!("{severity}[{code}]"),
            file,
            path,
            line: *line,
            column: *column,
            span: span.clone(),
            message,
            help: Cow::Borrowed(help),
        }
    }
}

/// An annotation with its excerpt, for `miette`.
#[derive(Debug)]
struct Shown<'d> {
    annotation: Annotation<'d>,
    excerpt: Option<Excerpt>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.annotation.label, printable(self.annotation.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.annotation.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(printable(&self.annotation.help)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        let mut path = printable(self.annotation.path);
        if let Some((end, _)) = path.char_indices().nth(MAX_PATH) {
            path.replace_range(end.., "…");
        }
        let path = Some(path).filter(|path| !path.is_empty());
        let label = LabeledSpan::new_primary_with_span(path, excerpt.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// The line with the wrong part and its neighbours. Long lines are cut.
#[derive(Debug)]
struct Excerpt {
    text: String,
    /// The underlined part of `text`.
    span: Range<usize>,
    name: String,
    /// The number of the first line of `text`, counted from 0.
    first_line: usize,
    /// The start of the span in the document, counted from 0.
    line: usize,
    column: usize,
}

impl Excerpt {
    fn new(document: &str, span: Range<usize>, annotation: &Annotation<'_>) -> Self {
        let start = document.floor_char_boundary(span.start);
        let before = Cut::before(document, start, BEFORE);
        let after = Cut::after(document, start, AFTER);
        let length = span.end.saturating_sub(start).min(after.text.len());
        let line = annotation.line.saturating_sub(1);
        let mut excerpt = Self {
            text: String::new(),
            span: 0..0,
            name: printable(annotation.file),
            first_line: line,
            line,
            column: annotation.column.saturating_sub(1),
        };
        let line_start = start - before.text.len();
        let previous = line_start.checked_sub(1).map(|end| Cut::before(document, end, AFTER));
        if let (false, Some(Cut { text, cut: false })) = (before.cut, previous) {
            excerpt.line(text, false);
            excerpt.first_line = line.saturating_sub(1);
        }
        if before.cut {
            excerpt.text.push_str("... ");
        }
        excerpt.text.push_str(&printable(before.text));
        let begin = excerpt.text.len();
        let (underlined, rest) = after.text.split_at_checked(length).unwrap_or((after.text, ""));
        excerpt.text.push_str(&printable(underlined));
        excerpt.span = begin..excerpt.text.len();
        excerpt.line(rest, after.cut);
        let next = start + after.text.len() + 1;
        if !after.cut && next < document.len() {
            let next = Cut::after(document, next, AFTER);
            excerpt.line(next.text, next.cut);
        }
        excerpt
    }

    fn line(&mut self, text: &str, cut: bool) {
        self.text.push_str(&printable(text));
        self.text.push_str(if cut { " ...\n" } else { "\n" });
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let read = self.text.read_span(span, before, after)?;
        // A call without context asks for the start of the span, which must be its position in the document.
        let (line, column) = match (before, after) {
            (0, 0) => (self.line, self.column),
            _ => (self.first_line + read.line(), read.column()),
        };
        let contents = MietteSpanContents::new_named(
            self.name.clone(),
            read.data(),
            *read.span(),
            line,
            column,
            read.line_count(),
        );
        Ok(Box::new(contents))
    }
}

/// A part of a line, and whether the line was cut.
struct Cut<'t> {
    text: &'t str,
    cut: bool,
}

impl<'t> Cut<'t> {
    /// The part of a line before offset `end`, at most `max` bytes.
    fn before(text: &'t str, end: usize, max: usize) -> Self {
        let from = text.ceil_char_boundary(end.saturating_sub(max));
        let part = text.get(from..end).unwrap_or_default();
        match part.rsplit_once('\n') {
            Some((_, line)) => Self { text: line, cut: false },
            None => Self { text: part, cut: from > 0 && !text.get(..from).is_some_and(|text| text.ends_with('\n')) },
        }
    }

    /// The part of a line from offset `start`, at most `max` bytes.
    fn after(text: &'t str, start: usize, max: usize) -> Self {
        let to = text.floor_char_boundary(start.saturating_add(max));
        let part = text.get(start..to).unwrap_or_default();
        match part.split_once('\n') {
            Some((line, _)) => Self { text: line, cut: false },
            None => {
                Self { text: part, cut: to < text.len() && !text.get(to..).is_some_and(|text| text.starts_with('\n')) }
            }
        }
    }
}
