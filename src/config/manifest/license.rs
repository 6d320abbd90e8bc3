//! SPDX licence expressions: whether a text is one by its form. The list of licences is not here: it
//! grows, and a name that is on it says no more than one that is not.

/// Brackets within brackets, at most.
const DEEPEST: usize = 8;

/// Whether `text` is an expression such as `MIT OR (Apache-2.0 WITH LLVM-exception AND BSD-3-Clause)`.
///
/// # Errors
/// What is wrong, in a few words.
pub(super) fn check(text: &str) -> Result<(), String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    parser.expression()?;
    match parser.tokens.first() {
        None => Ok(()),
        Some(token) => Err(format!("AND, OR or WITH is missing before \"{}\"", token.escape_debug())),
    }
}

struct Parser<'t> {
    tokens: &'t [&'t str],
    depth: usize,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Option<&'t str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn accept(&mut self, token: &str) -> bool {
        let is_next = self.tokens.first() == Some(&token);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Terms with AND and OR between them; which binds tighter does not matter for the form.
    fn expression(&mut self) -> Result<(), String> {
        self.term()?;
        while self.accept("AND") || self.accept("OR") {
            self.term()?;
        }
        Ok(())
    }

    fn term(&mut self) -> Result<(), String> {
        if self.accept("(") {
            return self.brackets();
        }
        self.license()?;
        if self.accept("WITH") { self.name() } else { Ok(()) }
    }

    fn brackets(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too many brackets".into());
        }
        self.expression()?;
        self.depth -= 1;
        if self.accept(")") { Ok(()) } else { Err("a bracket is not closed".into()) }
    }

    fn license(&mut self) -> Result<(), String> {
        let token = self.tokens.first().copied().unwrap_or_default();
        match token.strip_suffix('+') {
            Some(id) if is_name(id) => {
                self.next();
                Ok(())
            }
            _ => self.name(),
        }
    }

    fn name(&mut self) -> Result<(), String> {
        match self.next() {
            Some(name) if is_name(name) => Ok(()),
            Some(other) => Err(format!("\"{}\" is no identifier", other.escape_debug())),
            None => Err("it ends where an identifier should stand".into()),
        }
    }
}

/// `MIT`, `LicenseRef-ours`, `DocumentRef-x:LicenseRef-y`.
fn is_name(token: &str) -> bool {
    let idstring = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    };
    let is_operator = ["AND", "OR", "WITH"].iter().any(|word| word.eq_ignore_ascii_case(token));
    match token.split_once(':') {
        Some((document, license)) => [(document, "DocumentRef-"), (license, "LicenseRef-")]
            .into_iter()
            .all(|(text, start)| text.strip_prefix(start).is_some_and(idstring)),
        None => !is_operator && idstring(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_authors_write() {
        for text in [
            "MIT",
            "MIT OR Apache-2.0",
            "GPL-2.0+",
            "GPL-3.0-or-later WITH Classpath-exception-2.0",
            "(MIT OR Apache-2.0) AND BSD-3-Clause",
            "( (MIT) )",
            "LicenseRef-proprietary",
            "DocumentRef-spdx-tool-1.2:LicenseRef-MIT-Style-2",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression() {
        for text in [
            "",
            " ",
            "MIT/Apache-2.0",
            "MIT or Apache-2.0",
            "Apache 2.0",
            "MIT OR",
            "OR MIT",
            "(MIT",
            "MIT)",
            "()",
            "MIT WITH",
            "MIT WITH (x)",
            "M\u{1b}T",
            "+",
            "a:b",
            "DocumentRef-:LicenseRef-a",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_brackets_end_before_the_stack_does() {
        let deep = format!("{}MIT{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(check(&deep), Err("too many brackets".into()));
    }
}
