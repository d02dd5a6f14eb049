//! The XML of the query API as a small tree. Only elements and text matter; entities of a document's own are refused.

use std::collections::VecDeque;

use quick_xml::events::Event;
use quick_xml::{Reader, escape};

/// The API's answers are six levels deep.
const DEPTH_MAX: usize = 32;

/// One element.
#[derive(Debug, Default)]
pub(super) struct Node {
    name: String,
    text: String,
    children: VecDeque<Node>,
}

impl Node {
    /// Reads a document; gives its outermost element.
    pub fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| format!("the answer is not XML: {error}"))?;
            let top = open.last_mut().ok_or("the answer is not XML: an element ends that never began")?;
            match event {
                Event::Start(start) => {
                    let name = start.local_name();
                    let node = Self { name: String::from(name.as_ref()), ..Self::default() };
                    open.push(node);
                    if open.len() > DEPTH_MAX {
                        return Err(format!("the answer has more than {DEPTH_MAX} levels"));
                    }
                }
                Event::Empty(empty) => {
                    let name = String::from(empty.local_name().as_ref());
                    top.children.push_back(Self { name, ..Self::default() });
                }
                Event::End(_) => {
                    let node = open.pop().unwrap_or_default();
                    let parent = open.last_mut().ok_or("the answer is not XML: too many elements end")?;
                    parent.children.push_back(node);
                }
                Event::Text(text) => top.text.push_str(&text),
                Event::CData(text) => top.text.push_str(&text),
                Event::GeneralRef(entity) => {
                    let resolved = escape::unescape(&format!("&{};", &*entity))
                        .map_err(|error| format!("the answer holds an unknown entity: {error}"))?
                        .into_owned();
                    top.text.push_str(&resolved);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let root = open.pop().filter(|_| open.is_empty());
        root.and_then(|mut root| root.children.pop_front())
            .ok_or_else(|| "the answer is XML that was cut off".to_owned())
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Takes the first child of that name out.
    pub fn take(&mut self, name: &str) -> Option<Self> {
        let at = self.children.iter().position(|child| child.name == name)?;
        self.children.remove(at)
    }

    /// The text of the first child of that name; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.trim())
    }

    /// The text of a child that matters.
    pub fn some_text(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The members of a list.
    pub fn members(&self, list: &str) -> impl Iterator<Item = &Self> {
        let list = self.child(list);
        list.into_iter().flat_map(|list| list.children.iter().filter(|child| child.name == "member"))
    }

    /// The texts of a list of texts.
    pub fn texts(&self, list: &str) -> impl Iterator<Item = &str> {
        self.members(list).map(|member| member.text.trim())
    }

    /// The entries of a map, as the API writes one.
    pub fn entries(&self, map: &str) -> impl Iterator<Item = (&str, &str)> {
        let map = self.child(map);
        let entries =
            map.into_iter().flat_map(|map| map.children.iter().filter(|child| child.name == "entry"));
        entries.map(|entry| (entry.text("key"), entry.text("value")))
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn elements_texts_and_entities_are_read() {
        let node = Node::parse(
            "<?xml version='1.0'?><R xmlns='x'><L><member>a &amp; b&#x21;</member><member/></L>\
             <M><entry><key>Users</key><value>3</value></entry></M></R>",
        )
        .unwrap();
        assert_eq!(node.texts("L").collect::<Vec<_>>(), ["a & b!", ""]);
        assert_eq!(node.entries("M").collect::<Vec<_>>(), [("Users", "3")]);
        assert_eq!((node.text("none"), node.some_text("L")), ("", None));
    }

    #[test]
    fn what_is_cut_or_hostile_is_an_error() {
        let deep = format!("{}x{}", "<a>".repeat(100), "</a>".repeat(100));
        for document in ["", "<a><b>", "<a></b>", "</a>", "{\"a\": 1}", "<a>&nothing;</a>", &deep] {
            assert!(Node::parse(document).is_err(), "{document}");
        }
    }
}
