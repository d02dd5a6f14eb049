//! The Prometheus text format: a family of samples with its help, written so that no label can break out of its line.

use std::fmt::Write as _;

/// Metrics as text, family by family.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family. What has no samples is not begun: unknown is absent.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.0.push(if position == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family of gauges, all with the same labels; nothing where there is none.
    pub(super) fn gauges<'labels, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; LABELS],
        samples: impl IntoIterator<Item = ([&'labels str; LABELS], f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        self.family(name, "gauge", help);
        for (texts, value) in samples {
            let pairs: Vec<(&str, &str)> = labels.into_iter().zip(texts).collect();
            self.sample(name, &pairs, value);
        }
    }

    /// Everything that was written.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn a_label_stays_within_its_quotes_and_an_empty_family_is_absent() {
        let mut text = Text::default();
        text.gauges("a_items", "Items", ["kind"], [(["x\"} 1\nb_items 2\\"], 3.0)]);
        text.gauges::<0>("c_items", "Items", [], []);
        text.gauges("d_items", "Items", [], [([], 0.5)]);
        assert_eq!(
            text.finish(),
            "# HELP a_items Items\n# TYPE a_items gauge\na_items{kind=\"x\\\"} 1\\nb_items 2\\\\\"} 3\n\
             # HELP d_items Items\n# TYPE d_items gauge\nd_items 0.5\n"
        );
    }
}
