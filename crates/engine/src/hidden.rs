//! Characters that are not seen as they are. A name, a note or a row of somebody else's file may hold them: a
//! terminal acts on control characters, and a mark of direction shows a line in another order than it has.

/// Whether `c` is a control character other than a line break or a tab, a mark that turns the direction of writing
/// (Unicode's `Bidi_Control`), or a character without width.
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || c == '\u{feff}'
}

/// `text` with every hidden character as its escape `\u001b`, which JSON knows too.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) {
            // Every hidden character is one unit of UTF-16.
            true => escaped += &format!("\\u{:04x}", u32::from(c)),
            false => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown_as_what_they_are() {
        assert_eq!(escaped("a\tb\nc ä ‡ 32×32"), "a\tb\nc ä ‡ 32×32");
        assert_eq!(escaped("\u{1b}[8mhidden\r"), "\\u001b[8mhidden\\u000d");
        assert_eq!(escaped("\u{9b}2J\u{7f}\u{202e}\u{feff}"), "\\u009b2J\\u007f\\u202e\\ufeff");
    }
}
