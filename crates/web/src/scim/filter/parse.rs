//! The grammar of filters and of the paths of changes (RFC 7644, figures 1 and 7). Whatever is sent, it ends in a filter or in
//! a complaint that names the place.

use serde_json::Number;

use super::{Comparison, Filter, Literal, Path};

/// Longer filters are refused.
const BYTES_MAX: usize = 8_192;
/// So deep may brackets and parentheses stand in each other.
const DEPTH_MAX: usize = 32;

type Parsed<T> = Result<T, String>;

/// The path of a change: an attribute, which of its values, and which part of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located {
    pub path: Path,
    pub filter: Option<Filter>,
}

/// Reads a filter.
pub(super) fn filter(text: &str) -> Parsed<Filter> {
    let mut reader = Reader::new(text)?;
    let filter = reader.either(0)?;
    reader.end()?;
    Ok(filter)
}

/// Reads the path of a change: `attribute[filter].part`, where filter and part may be missing.
pub(crate) fn path_with_filter(text: &str) -> Parsed<Located> {
    let mut reader = Reader::new(text)?;
    let mut path = reader.path()?;
    let filter = if reader.takes(b'[') {
        let filter = reader.either(1)?;
        reader.demand(b']')?;
        if path.part.is_some() {
            return Err(reader.complaint("a part is named after the brackets, not before"));
        }
        if reader.takes(b'.') {
            path.part = Some(reader.name()?);
        }
        Some(filter)
    } else {
        None
    };
    reader.end()?;
    Ok(Located { path, filter })
}

struct Reader<'text> {
    text: &'text str,
    at: usize,
}

impl<'text> Reader<'text> {
    fn new(text: &'text str) -> Parsed<Self> {
        if text.len() > BYTES_MAX {
            return Err(format!("this is longer than {BYTES_MAX} bytes; write less"));
        }
        Ok(Self { text, at: 0 })
    }

    fn complaint(&self, what: &str) -> String {
        let shown: String = self.rest().chars().take(24).collect();
        if shown.is_empty() {
            format!("{what}, at the end")
        } else {
            format!("{what}, at character {} before `{shown}`", self.text[..self.at].chars().count() + 1)
        }
    }

    fn rest(&self) -> &'text str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes past a character of ASCII, where it comes next.
    fn takes(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn demand(&mut self, wanted: u8) -> Parsed<()> {
        self.skip_blanks();
        if self.takes(wanted) {
            Ok(())
        } else {
            Err(self.complaint(&format!("`{}` is wanted here", char::from(wanted))))
        }
    }

    fn end(&mut self) -> Parsed<()> {
        self.skip_blanks();
        if self.rest().is_empty() { Ok(()) } else { Err(self.complaint("`and` or `or` is wanted here")) }
    }

    /// Goes past a word that ends here, where it comes next.
    fn takes_word(&mut self, wanted: &str) -> bool {
        let rest = self.rest();
        let Some((head, tail)) = rest.split_at_checked(wanted.len()) else { return false };
        let ends = !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || "_-$:.".contains(c));
        let found = ends && head.eq_ignore_ascii_case(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn either(&mut self, depth: usize) -> Parsed<Filter> {
        self.joined(depth, "or", Self::both, Filter::Or)
    }

    fn both(&mut self, depth: usize) -> Parsed<Filter> {
        self.joined(depth, "and", Self::one, Filter::And)
    }

    fn joined(
        &mut self,
        depth: usize,
        word: &str,
        part: fn(&mut Self, usize) -> Parsed<Filter>,
        join: fn(Vec<Filter>) -> Filter,
    ) -> Parsed<Filter> {
        let first = part(self, depth)?;
        let mut parts = vec![first];
        loop {
            self.skip_blanks();
            if !self.takes_word(word) {
                break;
            }
            parts.push(part(self, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
    }

    fn one(&mut self, depth: usize) -> Parsed<Filter> {
        if depth > DEPTH_MAX {
            return Err(self.complaint("parentheses stand too deep in each other"));
        }
        self.skip_blanks();
        if self.takes(b'(') {
            let filter = self.either(depth + 1)?;
            self.demand(b')')?;
            return Ok(filter);
        }
        let before = self.at;
        if self.takes_word("not") {
            self.skip_blanks();
            if self.takes(b'(') {
                let filter = self.either(depth + 1)?;
                self.demand(b')')?;
                return Ok(Filter::Not(Box::new(filter)));
            }
            self.at = before;
        }
        let path = self.path()?;
        if self.takes(b'[') {
            let filter = self.either(depth + 1)?;
            self.demand(b']')?;
            return Ok(Filter::Within(path, Box::new(filter)));
        }
        self.skip_blanks();
        if self.takes_word("pr") {
            return Ok(Filter::Present(path));
        }
        let comparison = Comparison::ALL.into_iter().find(|comparison| self.takes_word(comparison.word()));
        let comparison = comparison.ok_or_else(|| {
            self.complaint("one of eq, ne, co, sw, ew, pr, gt, ge, lt and le is wanted here")
        })?;
        self.skip_blanks();
        Ok(Filter::Compare(path, comparison, self.literal()?))
    }

    /// The name of an attribute, which may begin with the id of its schema.
    fn path(&mut self) -> Parsed<Path> {
        self.skip_blanks();
        let rest = self.rest();
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-$:.".contains(c))).unwrap_or(rest.len());
        let (schema, name) = match rest[..end].rsplit_once(':') {
            Some((schema, name)) => (Some(schema.to_owned()), name),
            None => (None, &rest[..end]),
        };
        let (attribute, part) = match name.split_once('.') {
            Some((attribute, part)) => (attribute, Some(part)),
            None => (name, None),
        };
        let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$');
        let is_known_form = is_name(attribute)
            && part.is_none_or(|part| is_name(part) && !part.contains('.'))
            && schema.as_deref().is_none_or(is_name);
        if !is_known_form {
            return Err(self.complaint("the name of an attribute is wanted here"));
        }
        self.at += end;
        Ok(Path { schema, attribute: attribute.to_owned(), part: part.map(str::to_owned) })
    }

    fn name(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-$".contains(c))).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.complaint("the name of a part is wanted here"));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    fn literal(&mut self) -> Parsed<Literal> {
        if self.peek() == Some(b'"') {
            return self.text_literal().map(Literal::Text);
        }
        for (word, literal) in
            [("true", Literal::Boolean(true)), ("false", Literal::Boolean(false)), ("null", Literal::Null)]
        {
            if self.takes_word(word) {
                return Ok(literal);
            }
        }
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(rest.len());
        let number: Option<Number> = serde_json::from_str(&rest[..end]).ok();
        let number = number.ok_or_else(|| {
            self.complaint("a value is wanted here: a text in double quotes, a number, true, false or null")
        })?;
        self.at += end;
        Ok(Literal::Number(number))
    }

    fn text_literal(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let mut escaped = false;
        for (index, byte) in rest.bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let text: String = serde_json::from_str(&rest[..=index])
                        .map_err(|_| self.complaint("this is no text of JSON"))?;
                    // Not every database can be asked about it.
                    if text.contains('\0') {
                        return Err(self.complaint("no text here holds the character NUL"));
                    }
                    self.at += index + 1;
                    return Ok(text);
                }
                _ => {}
            }
        }
        Err(self.complaint("this text has no end; write a double quote after it"))
    }
}
