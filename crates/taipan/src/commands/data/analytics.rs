//! `taipan analytics query`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, json};
use taipan_storage::analytics::{Analytics, Cell};

use super::{Project, told};
use crate::cli::data::{AnalyticsArgs, AnalyticsCommand};

pub(crate) fn run(args: AnalyticsArgs) -> Result<ExitCode> {
    let project = Project::load(args.data)?;
    let AnalyticsCommand::Query { sql } = args.command;
    let mut datasets: Vec<String> =
        project.config.bindings.datasets.iter().map(|(_, dataset)| dataset.clone()).collect();
    datasets.sort();
    datasets.dedup();
    let analytics = told(Analytics::open(&project.here()?))?;
    let answer = told(analytics.query(&datasets, &sql))?;
    let rows = answer.rows.into_iter().map(|row| {
        let cells = row.into_iter().map(|cell| match cell {
            Cell::Null => json!(null),
            Cell::Integer(number) => json!(number),
            Cell::Real(number) => json!(number),
            Cell::Text(text) => json!(text),
            Cell::Blob(bytes) => json!(bytes),
        });
        answer.columns.iter().cloned().zip(cells).collect::<Map<_, _>>()
    });
    let rows: Vec<_> = rows.collect();
    anstream::println!("{}", serde_json::to_string_pretty(&rows)?);
    Ok(ExitCode::SUCCESS)
}
