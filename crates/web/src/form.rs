//! Forms: what was typed, and what is wrong with it by the field, so that a form is shown again with nothing lost.

use crate::error::{FieldError, WebError};

/// What is wrong with a form, by field.
#[derive(Debug, Clone, Default)]
pub struct Complaints(Vec<FieldError>);

impl Complaints {
    /// Notes what is wrong with a field. The first complaint about a field is shown.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// One complaint.
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut complaints = Self::default();
        complaints.add(field, message);
        complaints
    }

    /// What an error says about the fields of a form, or about one of them where it names none; an error that a form
    /// shown again does not mend comes back as it is.
    ///
    /// # Errors
    /// Every error but [`WebError::Invalid`], [`WebError::Conflict`] and [`WebError::TooMany`].
    pub(crate) fn of_error(error: WebError, field: &str) -> Result<Self, WebError> {
        match error {
            WebError::Invalid(fields) => Ok(Self(fields)),
            error @ (WebError::Conflict(_) | WebError::TooMany { .. }) => {
                Ok(Self::one(field, error.to_string()))
            }
            error => Err(error),
        }
    }

    /// The same with another name for a field, where a page has two of one name.
    pub(crate) fn renamed(mut self, field: &str, other: &str) -> Self {
        for error in self.0.iter_mut().filter(|error| error.field == field) {
            error.field = other.to_owned();
        }
        self
    }

    /// Whether there is nothing to complain about.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The complaint about a field; empty where there is none. For templates.
    pub fn of(&self, field: &str) -> &str {
        self.0.iter().find(|error| error.field == field).map_or("", |error| error.message.as_str())
    }

    /// As an answer to programs.
    pub fn into_fields(self) -> Vec<FieldError> {
        self.0
    }
}

/// Checks a name or another short text of a person.
pub fn short_text<'text>(text: &'text str, field: &str, complaints: &mut Complaints) -> &'text str {
    let text = text.trim();
    if text.is_empty() {
        complaints.add(field, "write something here");
    } else if text.chars().count() > 200 || text.chars().any(char::is_control) {
        complaints.add(field, "write at most 200 characters, in one line");
    }
    text
}

/// Checks a mail address as far as that makes sense without sending to it.
pub fn mail_address<'text>(text: &'text str, field: &str, complaints: &mut Complaints) -> &'text str {
    let text = text.trim();
    let parts = text.rsplit_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if parts.is_none() || !is_plain || text.chars().count() > 254 {
        complaints.add(field, "write a mail address, for example dana@example.com");
    }
    text
}
