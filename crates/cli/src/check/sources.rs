//! The sources of a request, in the order in which the command line names them.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use portcullis::decision::Source;

use crate::named::some;

/// `--resource`, `--query` and `--named-source`, any number of each.
#[derive(Debug, Default)]
pub(crate) struct SourceArgs {
    sources: Vec<(usize, Kind, String)>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Resource,
    Query,
    NamedSource,
}

const OPTIONS: [(Kind, &str, &str, &str); 3] = [
    (Kind::Resource, "resource", "NAME", "Add a table, tileset or raster; repeat for more"),
    (Kind::Query, "query", "SQL", "Add a query"),
    (Kind::NamedSource, "named-source", "NAME", "Add a named source"),
];

/// Parses a source of the option `option`. A request may have any text but none.
fn source(option: &str, text: &str) -> Result<String, String> {
    match option {
        "query" => some(text, "the text of a query", "SELECT 1"),
        "named-source" => some(text, "the name of a named source", "open-orders"),
        _ => some(text, "the name of a table, tileset or raster", "carto.shared.roads"),
    }
}

impl SourceArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The sources, in order.
    pub(crate) fn sources(&self) -> Vec<Source<'_>> {
        fn source((_, kind, text): &(usize, Kind, String)) -> Source<'_> {
            match kind {
                Kind::Resource => Source::Resource(text),
                Kind::Query => Source::Query(text),
                Kind::NamedSource => Source::NamedSource(text),
            }
        }
        self.sources.iter().map(source).collect()
    }
}

impl clap::Args for SourceArgs {
    fn augment_args(command: Command) -> Command {
        command.args(OPTIONS.map(|(_, name, value, help)| {
            let parse = move |text: &str| source(name, text);
            Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append).value_parser(parse)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SourceArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (kind, name, ..) in OPTIONS {
            let indices = matches.indices_of(name).into_iter().flatten();
            let values = matches.get_many::<String>(name).into_iter().flatten();
            self.sources.extend(indices.zip(values).map(|(index, value)| (index, kind, value.clone())));
        }
        self.sources.sort_by_key(|(index, ..)| *index);
        Ok(())
    }
}
