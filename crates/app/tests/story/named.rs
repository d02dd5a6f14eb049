//! Stories of the field's known failures, one each, over many companies.
