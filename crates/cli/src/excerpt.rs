//! Diagnostics and findings as a person reads them: the offending text underlined, with a line of context.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, Severity, SourceCode,
    SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};
use portcullis_document::load;

use super::output::printable;

/// Bytes of a line that are shown before and after the place where something is wrong.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// Characters of a path into the document that are shown: it may hold a name of any length.
const PLACE: usize = 256;

/// Renders the diagnostics of one document.
pub(super) struct Renderer {
    redacted: String,
    handler: GraphicalReportHandler,
}

impl Renderer {
    /// A renderer for what is wrong with `input`.
    pub(super) fn new(input: &load::Input, color: bool) -> Self {
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme { characters: ThemeCharacters::ascii(), styles: ThemeStyles::none() }
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_wrap_lines(false);
        Self { redacted: input.redacted(), handler: handler.with_context_lines(1) }
    }

    /// Appends what is said to `out`. The cost does not depend on the length of the document.
    pub(super) fn render<'d>(&self, said: impl Into<Said<'d>>, out: &mut String) -> fmt::Result {
        let said = said.into();
        let excerpt = said.span.clone().map(|span| Excerpt::new(&self.redacted, span, &said));
        self.handler.render_report(out, &Shown { said, excerpt })?;
        out.write_char('\n')
    }
}

/// What is said of a document.
#[derive(Debug)]
pub(super) struct Said<'d> {
    pub(super) severity: Severity,
    /// Its severity and code.
    pub(super) label: String,
    pub(super) file: &'d str,
    pub(super) place: &'d str,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) span: Option<Range<usize>>,
    pub(super) message: &'d str,
    pub(super) help: Cow<'d, str>,
}

impl<'d> From<&'d load::Diagnostic> for Said<'d> {
    fn from(diagnostic: &'d load::Diagnostic) -> Self {
        let load::Diagnostic { severity, code, file, place, line, column, span, message, help } = diagnostic;
        Self {
            severity: match severity {
                load::Severity::Error => Severity::Error,
                load::Severity::Warning => Severity::Warning,
            },
            label: format!("{severity}[{code}]"),
            file,
            place,
            line: *line,
            column: *column,
            span: span.clone(),
            message,
            help: Cow::Borrowed(help),
        }
    }
}

/// What is said with its excerpt, as `miette` takes it.
#[derive(Debug)]
struct Shown<'d> {
    said: Said<'d>,
    excerpt: Option<Excerpt>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.said.label, printable(self.said.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.said.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(printable(&self.said.help)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        let mut place = printable(self.said.place);
        if let Some((end, _)) = place.char_indices().nth(PLACE) {
            place.replace_range(end.., "…");
        }
        let place = Some(place).filter(|place| !place.is_empty());
        let label = LabeledSpan::new_primary_with_span(place, excerpt.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// The line where something is wrong, and those around it; long ones cut.
#[derive(Debug)]
struct Excerpt {
    text: String,
    /// What is underlined of `text`.
    span: Range<usize>,
    name: String,
    /// The line that `text` begins with, counted from 0.
    first_line: usize,
    /// Where the span begins in the document, counted from 0.
    line: usize,
    column: usize,
}

impl Excerpt {
    fn new(document: &str, span: Range<usize>, said: &Said<'_>) -> Self {
        let start = document.floor_char_boundary(span.start);
        let before = Cut::before(document, start, BEFORE);
        let after = Cut::after(document, start, AFTER);
        let length = span.end.saturating_sub(start).min(after.text.len());
        let line = said.line.saturating_sub(1);
        let mut excerpt = Self {
            text: String::new(),
            span: 0..0,
            name: printable(said.file),
            first_line: line,
            line,
            column: said.column.saturating_sub(1),
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
        // Without context it is asked for where the span begins: in the document, not in the cut line.
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

/// Part of a line, and whether there is more of it.
struct Cut<'t> {
    text: &'t str,
    cut: bool,
}

impl<'t> Cut<'t> {
    /// What stands before byte `end` on its line, up to so many bytes.
    fn before(text: &'t str, end: usize, most: usize) -> Self {
        let from = text.ceil_char_boundary(end.saturating_sub(most));
        let part = text.get(from..end).unwrap_or_default();
        match part.rsplit_once('\n') {
            Some((_, line)) => Self { text: line, cut: false },
            None => Self { text: part, cut: from > 0 && !text.get(..from).is_some_and(|text| text.ends_with('\n')) },
        }
    }

    /// What stands at byte `start` and after it on its line, up to so many bytes.
    fn after(text: &'t str, start: usize, most: usize) -> Self {
        let to = text.floor_char_boundary(start.saturating_add(most));
        let part = text.get(start..to).unwrap_or_default();
        match part.split_once('\n') {
            Some((line, _)) => Self { text: line, cut: false },
            None => {
                Self { text: part, cut: to < text.len() && !text.get(to..).is_some_and(|text| text.starts_with('\n')) }
            }
        }
    }
}
