//! XML as EC2 and STS write it.

/// A document under construction.
pub(crate) struct Xml {
    text: String,
}

impl Xml {
    /// With the declaration.
    pub(crate) fn document() -> Self {
        Self {
            text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
        }
    }

    /// A piece to be put into another.
    pub(crate) fn fragment() -> Self {
        Self { text: String::new() }
    }

    /// The outermost element, with its namespace.
    pub(crate) fn root(&mut self, name: &str, namespace: &str, inner: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!("<{name} xmlns=\"{namespace}\">"));
        inner(self);
        self.text.push_str(&format!("</{name}>"));
    }

    /// An element with elements inside.
    pub(crate) fn node(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!("<{name}>"));
        inner(self);
        self.text.push_str(&format!("</{name}>"));
    }

    /// An element with text inside.
    pub(crate) fn leaf(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("<{name}>"));
        self.escape(value);
        self.text.push_str(&format!("</{name}>"));
    }

    /// A leaf where there is a value.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.leaf(name, value);
        }
    }

    /// A piece made elsewhere.
    pub(crate) fn raw(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// Control characters come as character references: XML 1.0 has no way to write most of them, the readers
    /// in AWS's SDKs take these.
    fn escape(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                c if c.is_control() => self.text.push_str(&format!("&#x{:x};", u32::from(c))),
                c => self.text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let mut xml = Xml::fragment();
        xml.node("a", |xml| xml.leaf("b", "<&>\"é\u{1b}\n"));
        assert_eq!(xml.finish(), "<a><b>&lt;&amp;&gt;&quot;é&#x1b;&#xa;</b></a>");
    }
}
