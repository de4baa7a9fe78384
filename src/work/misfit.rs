//! What a TOML reader says of a value that does not fit, in the words of a suite: without the names of
//! types of this program.

/// The message of a reader in words.
pub(crate) fn words(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    if let Some(kind) = message.strip_prefix("data did not match any variant of untagged enum ") {
        let wanted = match kind {
            "Number" => "a number is expected here, such as 0.3 or \"8/255\"",
            "OneOrMany" => {
                "a number or a list of numbers is expected here, such as 0.3 or [0.1, \"8/255\"]"
            }
            _ => "this is none of the forms that are expected here",
        };
        return wanted.to_owned();
    }
    let found = message.split_once(", expected ").and_then(|(found, expected)| {
        let found =
            found.strip_prefix("invalid type: ").or(found.strip_prefix("invalid value: "))?;
        Some((found, expected))
    });
    let Some((found, expected)) = found else { return message };
    let expected = match expected {
        "u8" | "u16" | "u64" | "u128" | "usize" => "a whole number of at least 0",
        "u32" => "a whole number from 0 to 4294967295",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "path string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        other if other.starts_with("struct ") || other == "a map" => "a table of fields",
        other => other,
    };
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    let value = value.trim_start_matches("point ");
    let found = match kind {
        "integer" | "floating" => format!("the number {value}"),
        "string" => format!("the text {value}"),
        "boolean" => value.to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => found.to_owned(),
    };
    format!("{found} stands where {expected} is expected")
}

/// The unknown field and the known ones, if that is what the message is about.
pub(crate) fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let (field, rest) = message.trim().strip_prefix("unknown field `")?.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((field.to_owned(), known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_names_a_type_of_the_program() {
        for (message, said) in [
            (
                "invalid type: string \"many\", expected u64\n",
                "the text \"many\" stands where a whole number of at least 0 is expected",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "the number `-1` stands where a whole number from 0 to 4294967295 is expected",
            ),
            (
                "invalid type: floating point `1.5`, expected usize",
                "the number `1.5` stands where a whole number of at least 0 is expected",
            ),
            (
                "invalid type: integer `3`, expected a string",
                "the number `3` stands where a text in quotes is expected",
            ),
            (
                "invalid type: map, expected a sequence",
                "a table stands where a list in brackets is expected",
            ),
            (
                "data did not match any variant of untagged enum Number",
                "a number is expected here, such as 0.3 or \"8/255\"",
            ),
            ("missing field `path`", "missing field `path`"),
        ] {
            assert_eq!(words(message), said);
        }
    }

    #[test]
    fn unknown_fields() {
        let of = |rest: &str| unknown_field(&format!("unknown field `nrom`, expected {rest}"));
        let known =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            of("one of `norm`, `eps`, `k`"),
            Some(("nrom".into(), known(&["norm", "eps", "k"])))
        );
        assert_eq!(of("`a` or `b`"), Some(("nrom".into(), known(&["a", "b"]))));
        assert_eq!(of("`a`"), Some(("nrom".into(), known(&["a"]))));
        assert_eq!(unknown_field("missing field `a`"), None);
    }
}
