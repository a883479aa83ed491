//! A reader of JSON (RFC 8259), as the test vectors need it: strict; it panics if it does not understand something.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    pub fn parse(text: &str) -> Json {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value();
        assert_eq!(reader.peek(), None, "something follows, at byte {}", reader.at);
        value
    }

    /// A member of an object; `Null` if there is no such member.
    pub fn get(&self, key: &str) -> &Json {
        let Json::Object(members) = self else {
            panic!("{self:?} is not an object")
        };
        members.get(key).unwrap_or(&Json::Null)
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let Json::Object(members) = self else {
            panic!("{self:?} is not an object")
        };
        members.keys().map(String::as_str)
    }

    pub fn text(&self) -> &str {
        let Json::Text(text) = self else {
            panic!("{self:?} is not a string")
        };
        text
    }

    pub fn number(&self) -> f64 {
        let Json::Number(number) = self else {
            panic!("{self:?} is not a number")
        };
        *number
    }

    pub fn list(&self) -> &[Json] {
        let Json::List(values) = self else {
            panic!("{self:?} is not an array")
        };
        values
    }

    pub fn is_true(&self) -> bool {
        *self == Json::Bool(true)
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    /// What comes next, after any white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\n', '\r']);
        self.at = self.text.len() - rest.len();
        rest.bytes().next()
    }

    fn take(&mut self, expected: &str) {
        self.peek();
        assert!(
            self.text[self.at..].starts_with(expected),
            "{expected:?} is missing at byte {}",
            self.at
        );
        self.at += expected.len();
    }

    fn value(&mut self) -> Json {
        let word = |reader: &mut Self, word, value| {
            reader.take(word);
            value
        };
        match self.peek() {
            Some(b'n') => word(self, "null", Json::Null),
            Some(b't') => word(self, "true", Json::Bool(true)),
            Some(b'f') => word(self, "false", Json::Bool(false)),
            Some(b'"') => Json::Text(self.string()),
            Some(b'[') => Json::List(self.items("[", "]", Self::value)),
            Some(b'{') => Json::Object(self.items("{", "}", Self::member).into_iter().collect()),
            _ => Json::Number(self.number()),
        }
    }

    fn member(&mut self) -> (String, Json) {
        self.peek();
        let key = self.string();
        self.take(":");
        (key, self.value())
    }

    fn items<T>(&mut self, open: &str, close: &str, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        self.take(open);
        let mut items = Vec::new();
        while self.peek() != close.bytes().next() {
            if !items.is_empty() {
                self.take(",");
            }
            items.push(item(self));
        }
        self.take(close);
        items
    }

    fn number(&mut self) -> f64 {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let digits = &rest[..end.unwrap_or(rest.len())];
        self.at += digits.len();
        digits
            .parse()
            .unwrap_or_else(|_| panic!("no value at byte {}", self.at))
    }

    fn string(&mut self) -> String {
        self.take("\"");
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\']).expect("a string ends");
            out.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return out;
            }
            out.push(self.escaped());
        }
    }

    fn escaped(&mut self) -> char {
        let escape = self.text.as_bytes()[self.at];
        self.at += 1;
        match escape {
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\\' | b'/' => escape.into(),
            b'u' => {
                let digits = &self.text[self.at..self.at + 4];
                self.at += 4;
                let code = u32::from_str_radix(digits, 16).expect("four hexadecimal digits");
                char::from_u32(code).expect("no half of a surrogate pair")
            }
            _ => panic!("no escape at byte {}", self.at),
        }
    }
}
