//! `mqttdump fields`: the fields of `-Y`.

use clap::Args;
use mqttdump::filter;

use super::command::{Command, Exit};
use super::hanging;
use super::output;
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of `fields`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FieldsArgs {
    /// List only fields whose name or description contains this word
    #[arg(value_name = "WORD", help_heading = "Input")]
    word: Option<String>,
}

impl Command for FieldsArgs {
    const NAME: &'static str = "fields";
    const ABOUT: &'static str = "List the fields of display filters (-Y)";
    const USAGE: &'static str = "mqttdump fields [WORD]";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("mqttdump fields", "list the fields"),
        ("mqttdump fields reason", "fields about reasons"),
    ];
    const SHORT_HELP: &'static [&'static str] = &[];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        let columns = around.columns.filter(|_| around.stdout_terminal);
        let fields = list(self.word.as_deref(), columns);
        if let Some(word) = self.word.filter(|_| fields.is_empty()) {
            return Err(Stop::Failed(format!(
                "no field has {word:?} in its name or description; mqttdump fields lists them all"
            )));
        }
        output::print(fields.as_bytes())?;
        Ok(Exit::Success)
    }
}

/// Name, type and description, one field a line, or wrapped on a terminal.
fn list(word: Option<&str>, columns: Option<usize>) -> String {
    let word = word.unwrap_or_default().to_lowercase();
    let fields: Vec<_> = filter::fields()
        .iter()
        .filter(|field| field.name.contains(&word) || field.help.to_lowercase().contains(&word))
        .collect();
    let width =
        |of: fn(&filter::Field) -> usize| fields.iter().map(|field| of(field)).max().unwrap_or(0);
    let (names, kinds) = (
        width(|field| field.name.len()),
        width(|field| field.kind.name().len()),
    );
    let rows = fields.iter().map(|field| {
        let kind = field.kind.name();
        (
            format!("{:names$}  {kind:kinds$}", field.name),
            &*field.help,
        )
    });
    hanging::list(rows, columns)
}
