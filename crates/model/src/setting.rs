//! The settings of a connector as a form asks for them: what each is called, what it means, and how it is written.

/// How a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// A text.
    Text,
    /// A file below the folder of the configuration.
    File,
    /// Texts, in a form one in each line.
    List,
    /// Yes or no.
    Flag,
    /// One of these; the first is what counts where nothing is said.
    Choice(&'static [&'static str]),
    /// A secret; it is kept in a file of its own, and the configuration names that.
    Secret,
}

/// A setting that people state often enough to be asked for it. Every connector has more; they are written as TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingField {
    /// The key in `[system.NAME]`.
    pub key: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What to write, in a sentence; may be empty.
    pub help: &'static str,
    /// What one writes, for example; may be empty.
    pub example: &'static str,
    /// How it is written.
    pub kind: SettingKind,
    /// Whether nothing works without it.
    pub required: bool,
}

impl SettingField {
    /// A setting that may be left out.
    pub const fn optional(
        key: &'static str,
        label: &'static str,
        kind: SettingKind,
        help: &'static str,
    ) -> Self {
        Self { key, label, help, example: "", kind, required: false }
    }

    /// A setting that must be stated.
    pub const fn required(
        key: &'static str,
        label: &'static str,
        kind: SettingKind,
        help: &'static str,
        example: &'static str,
    ) -> Self {
        Self { key, label, help, example, kind, required: true }
    }
}
