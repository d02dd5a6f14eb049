//! Complaints shown to people: with the place in their file and a caret where there is one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use crate::output;
use leasehold_decide::policy::diagnostic::{Diagnostic, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

/// Complaints that were already rendered, carried as one error.
#[derive(Debug)]
pub struct Rendered(pub String);

impl std::fmt::Display for Rendered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0.trim_end())
    }
}

impl std::error::Error for Rendered {}

/// Prints an error and what led to it.
pub fn report(error: &anyhow::Error) {
    if let Some(rendered) = error.downcast_ref::<Rendered>() {
        // Its styles are ours; what it shows of files and names was made harmless when it was rendered.
        eprintln!("{rendered}");
        return;
    }
    output::remark(format!("error: {error}"));
    // A cause that only repeats what was said above is left out.
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !said.contains(&text) {
            output::remark(format!("  because: {text}"));
            said.push_str(&text);
        }
    }
}

/// One complaint about a person's file, rendered with its line and a caret.
pub fn render(
    severity: Severity,
    file: &str,
    text: &str,
    span: &Range<usize>,
    message: &str,
    help: &str,
) -> String {
    let severity = match severity {
        Severity::Warning => miette::Severity::Warning,
        Severity::Error => miette::Severity::Error,
    };
    let text = harmless(text);
    let end = span.end.min(text.len());
    let start = span.start.min(end);
    let mut diagnostic = MietteDiagnostic::new(output::safe_lines(message))
        .with_severity(severity)
        .with_label(LabeledSpan::underline(start..end.max(start + usize::from(start < text.len()))));
    if !help.is_empty() {
        diagnostic = diagnostic.with_help(output::safe_lines(help));
    }
    let report = Report::new(diagnostic).with_source_code(NamedSource::new(output::safe(file), text));
    let colour = output::colour_on_stderr();
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut rendered = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(110);
    if handler.render_report(&mut rendered, report.as_ref()).is_err() {
        let _ = writeln!(rendered, "{}", output::safe(format!("{file}: {message}")));
    }
    rendered
}

/// The text of a file without what is harmful to a terminal. Every byte stays in its place, so that carets do.
fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let ends_a_line = c == '\r' && rest.peek() == Some(&'\n');
        if output::is_harmful(c) && !ends_a_line && !matches!(c, '\n' | '\t') {
            harmless.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            harmless.push(c);
        }
    }
    harmless
}

/// All complaints about policy files, rendered one below the other.
pub fn render_policy(
    folder: &std::path::Path,
    files: &BTreeMap<String, String>,
    all: &[Diagnostic],
) -> String {
    let mut rendered = String::new();
    for diagnostic in all {
        let text = files.get(&diagnostic.file).map_or("", String::as_str);
        let shown = folder.join(&diagnostic.file);
        let shown = shown.to_string_lossy();
        let one = render(
            diagnostic.severity,
            &shown,
            text,
            &diagnostic.span,
            &diagnostic.message,
            &diagnostic.help,
        );
        rendered.push_str(&one);
    }
    rendered
}

/// The line of a byte, counted from one.
pub fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}
