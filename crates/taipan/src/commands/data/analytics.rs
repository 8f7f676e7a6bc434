//! `taipan analytics query`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, Value, json};
use taipan_server::shown_rows;
use taipan_storage::analytics::Analytics;
use ureq::http::Method;

use super::{Place, Project, told};
use crate::cli::data::{AnalyticsArgs, AnalyticsCommand};

pub(crate) fn run(args: AnalyticsArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    let AnalyticsCommand::Query { sql } = args.command;
    let mut datasets: Vec<String> =
        project.config.bindings.datasets.iter().map(|(_, dataset)| dataset.clone()).collect();
    datasets.sort();
    datasets.dedup();
    let (columns, rows) = match project.data()? {
        Place::Here(folder) => {
            let analytics = told(Analytics::open(&folder))?;
            let answer = told(analytics.query(&datasets, &sql))?;
            let rows = shown_rows(&answer);
            (answer.columns, rows)
        }
        Place::There(remote) => {
            let asked = json!({ "sql": sql, "datasets": datasets }).to_string();
            let answer = remote.json(Method::POST, "analytics/query", &[], asked.as_str())?;
            let part = |name: &str| answer.get(name).cloned().unwrap_or_default();
            (serde_json::from_value(part("columns"))?, serde_json::from_value(part("rows"))?)
        }
    };
    let named = |row: Vec<Value>| columns.iter().cloned().zip(row).collect::<Map<_, _>>();
    let rows: Vec<_> = rows.into_iter().map(named).collect();
    anstream::println!("{}", serde_json::to_string_pretty(&rows)?);
    Ok(ExitCode::SUCCESS)
}
