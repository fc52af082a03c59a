//! `--config FILE` and `config`: reads settings from a TOML file, and prints the settings in force and their sources.
//!
//! Owns the precedence: flag, environment variable, file, default. A key in the file is the name of a flag, so there is
//! no second list of settings.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use toml::{Table, Value};

use crate::Failure;

/// The subcommands that take a node's settings.
const NODES: [&str; 2] = ["node", "config"];

/// The arguments with those from the file, and the names of the flags that the file sets.
pub(crate) struct Expanded {
    pub(crate) arguments: Vec<OsString>,
    pub(crate) from_file: BTreeSet<String>,
}

/// Adds the file's settings to the command line, unless a flag or a variable sets them.
pub(crate) fn expand(command: &Command, mut arguments: Vec<OsString>) -> Result<Expanded, Failure> {
    let mut from_file = BTreeSet::new();
    // Errors in the command line itself are reported when it is parsed again.
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
                .ok_or_else(|| fail("use a string, a number, true or false, or a list of these"))?;
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

/// Prints the settings in force as a settings file, each with its source.
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
            // What is the default by now, and accepted for the sake of old settings.
            .filter(|_| !arg.is_hide_set())
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
            // Secrets are not printed.
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
