//! `tahuka config --reference`: every key of the configuration, from the types themselves. What is said of a key is said
//! once, beside the key.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tahuka_chassis::{Config, Refusal};

const HEAD: &str = "\
# Configuration

Made by `tahuka config --reference`; what is said of a key stands beside it in `services/chassis/src/config.rs`.

Every key has a default, and the defaults run. A TOML file goes over them (`--config FILE`, or `TAHUKA_CONFIG`), then the
environment, then flags (`--set KEY=VALUE`; some keys have a flag of their own: `tahuka --help`). A key that is not known
stops the process at start. `tahuka config` shows what is in force, secrets masked; `tahuka doctor --pre` says whether it
will do.

In the environment the parts of a key are joined by two underscores: `database.url_file` is `TAHUKA__DATABASE__URL_FILE`.
A secret is better in a file than in the environment: `database.url_file`, `nats.url_file`.
";

/// As Markdown.
pub fn markdown() -> Result<String, Refusal> {
    let schema = schemars::generate::SchemaSettings::default().with(|s| s.inline_subschemas = true).into_generator();
    let schema = serde_json::to_value(schema.into_root_schema_for::<Config>()).map_err(Refusal::internal)?;
    let mut text = HEAD.to_owned();
    section(&mut text, "", &schema);
    Ok(text)
}

/// A table of the keys of one part, then the parts below it.
fn section(text: &mut String, path: &str, schema: &Value) {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let (parts, keys): (Vec<_>, Vec<_>) = properties.iter().partition(|(_, value)| value["properties"].is_object());
    if !path.is_empty() {
        let _ = write!(text, "\n## [{path}]\n");
        if let Some(told) = schema["description"].as_str() {
            let _ = write!(text, "\n{}\n", one_line(told));
        }
    }
    if !keys.is_empty() {
        text.push_str("\n| Key | Default | In the environment | Meaning |\n|---|---|---|---|\n");
    }
    for (name, value) in keys {
        let key = join(path, name);
        let environment = format!("TAHUKA__{}", key.replace('.', "__").to_uppercase());
        let (key, environment) = match value["type"] == "object" {
            true => (format!("{key}.<name>"), format!("{environment}__<NAME>")),
            false => (key, environment),
        };
        let told = one_line(value["description"].as_str().unwrap_or_default());
        let _ = writeln!(text, "| `{key}` | {} | `{environment}` | {told} |", default(&value["default"]));
    }
    for (name, value) in parts {
        section(text, &join(path, name), value);
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// As it is written in TOML.
fn default(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Object(_) => "none".into(),
        Value::Array(all) if all.is_empty() => "`[]`".into(),
        other => format!("`{other}`"),
    }
}

/// In one cell of a table.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_what_the_types_say() {
        let told = include_str!("../../../../docs/configure.md");
        assert!(told == markdown().unwrap(), "make it anew: tahuka config --reference > docs/configure.md");
    }

    #[test]
    fn every_key_is_there_with_its_meaning() {
        let text = markdown().unwrap();
        let shown = toml::to_string(&Config::default()).unwrap();
        let mut path = String::new();
        let mut keys = Vec::new();
        for line in shown.lines() {
            if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                path = section.to_owned();
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.push(join(&path, key));
            }
        }
        assert!(keys.len() > 10);
        for key in keys {
            assert!(text.contains(&format!("| `{key}` |")), "{key} is missing");
        }
        let silent: Vec<&str> = text.lines().filter(|line| line.starts_with("| `") && line.ends_with("|  |")).collect();
        assert!(silent.is_empty(), "say what they mean: {silent:#?}");
    }
}
