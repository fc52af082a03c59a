//! `--config FILE` and `config`: settings from a TOML file, and which are in force and where from.
//!
//! Owns the precedence: a flag goes before its variable, that before the file, the file before the default. A key of the
//! file is a flag by its name, so there is nothing to keep in step.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use toml::{Table, Value};

use crate::Failure;

/// Subcommands that take the settings of a node.
const NODES: [&str; 2] = ["node", "config"];

/// The arguments as given and what the file adds, and the names of the flags that it sets.
pub(crate) struct Expanded {
    pub(crate) arguments: Vec<OsString>,
    pub(crate) from_file: BTreeSet<String>,
}

/// Adds what the file says to the command line, unless the command line or the environment says it already.
pub(crate) fn expand(command: &Command, mut arguments: Vec<OsString>) -> Result<Expanded, Failure> {
    let mut from_file = BTreeSet::new();
    // Whatever is wrong with the command line itself is said when it is read for good.
    if let Ok(matches) = command.clone().try_get_matches_from(&arguments)
        && let Some((name, given)) = matches.subcommand()
        && NODES.contains(&name)
        && let Some(path) = given.get_one::<PathBuf>("config_file")
        && let Some(node) = command.find_subcommand(name)
    {
        let table = read(path)?;
        for (key, value) in &table {
            let fail = |why: &str| format!("{}: {key}: {why}", path.display());
            let flag = key.replace('_', "-");
            let known = node.get_arguments();
            let mut known = known.filter(|arg| arg.get_long() == Some(&flag));
            let Some(arg) = known.next().filter(|_| flag != "config") else {
                return Err(
                    fail("there is no such setting; `actix-mesh config` lists them all").into(),
                );
            };
            let source = given.value_source(arg.get_id().as_str());
            if matches!(
                source,
                Some(ValueSource::CommandLine | ValueSource::EnvVariable)
            ) {
                continue;
            }
            let values = match value {
                Value::Array(values) => values.iter().map(text).collect(),
                value => text(value).map(|text| vec![text]),
            };
            let values = values
                .ok_or_else(|| fail("give a text, a number, true or false, or a list of them"))?;
            for value in values {
                match (arg.get_action().takes_values(), value.as_str()) {
                    (true, value) => arguments.push(format!("--{flag}={value}").into()),
                    (false, "true") => arguments.push(format!("--{flag}").into()),
                    (false, "false") => {}
                    (false, _) => return Err(fail("this is true or false").into()),
                }
            }
            from_file.insert(flag);
        }
    }
    Ok(Expanded {
        arguments,
        from_file,
    })
}

fn read(path: &Path) -> Result<Table, Failure> {
    let text = fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let table = text.parse::<Table>();
    Ok(table.map_err(|why| format!("{}: {why}", path.display()))?)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// Prints what is in force, as a file of settings would have it, each with where it is from.
pub(crate) fn print(
    command: &Command,
    matches: &ArgMatches,
    from_file: &BTreeSet<String>,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let Some(flag) = arg
            .get_long()
            .filter(|flag| !["config", "help"].contains(flag))
        else {
            continue;
        };
        let values = matches.try_get_raw(id).ok().flatten();
        let values: Vec<_> = values
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        let source = match matches.value_source(id) {
            _ if from_file.contains(flag) => "file",
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            _ => "default",
        };
        let is_list =
            arg.get_action().takes_values() && matches!(arg.get_action(), clap::ArgAction::Append);
        let shown: Vec<_> = match flag.contains("token") {
            // What opens a door is not shown.
            true => values
                .iter()
                .map(|_| Value::from("...").to_string())
                .collect(),
            false => values.iter().map(|value| toml(value)).collect(),
        };
        match (shown.as_slice(), is_list) {
            ([], _) => writeln!(out, "# {flag} is not set")?,
            ([one], false) => writeln!(out, "{flag} = {one}  # {source}")?,
            (all, _) => writeln!(out, "{flag} = [{}]  # {source}", all.join(", "))?,
        }
    }
    Ok(())
}

fn toml(value: &str) -> String {
    let plain = value == "true" || value == "false" || value.parse::<i64>().is_ok();
    match plain {
        true => value.to_owned(),
        false => Value::from(value).to_string(),
    }
}
