//! Data points: what Workers note, and SQL over it.
//!
//! ```sql
//! points(dataset TEXT, timestamp INTEGER, index1 TEXT, blob1 … blob20, double1 … double20 REAL)   -- milliseconds since the epoch
//! ```
//! All datasets are in one file. Who asks sees each as a table of its name, as in the SQL of Cloudflare's Analytics Engine; the SQL is
//! SQLite's.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub use rusqlite::types::Value as Cell;
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::clock::Clock;
use crate::sqlite::{self, Deadline, Layout, Writer};
use crate::{StateFolder, StorageError};

const LAYOUT: Layout = Layout {
    steps: &["CREATE TABLE points (
            dataset TEXT NOT NULL, timestamp INTEGER NOT NULL, index1,
            blob1, blob2, blob3, blob4, blob5, blob6, blob7, blob8, blob9, blob10,
            blob11, blob12, blob13, blob14, blob15, blob16, blob17, blob18, blob19, blob20,
            double1 REAL, double2 REAL, double3 REAL, double4 REAL, double5 REAL,
            double6 REAL, double7 REAL, double8 REAL, double9 REAL, double10 REAL,
            double11 REAL, double12 REAL, double13 REAL, double14 REAL, double15 REAL,
            double16 REAL, double17 REAL, double18 REAL, double19 REAL, double20 REAL
        );
        CREATE INDEX by_time ON points (dataset, timestamp)"],
};

/// How many of each kind a point may have.
pub const MOST_VALUES: usize = 20;
/// Longest index, in bytes.
pub const LONGEST_INDEX: usize = 96;
/// All blobs of a point may be as large together, in bytes.
pub const LARGEST_BLOBS: usize = 16 << 10;

/// A question may take so long.
pub const LONGEST_QUESTION: Duration = Duration::from_secs(30);
/// Its answer may be as large, in bytes.
pub const LARGEST_ANSWER: usize = 32 << 20;
/// So many steps of SQLite's machine lie between looks at the clock.
const STEPS: i32 = 1000;

/// What is noted at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// What it is about, if anything.
    pub index: Option<String>,
    /// Texts or bytes, some of them missing.
    pub blobs: Vec<Option<Blob>>,
    /// Numbers, some of them missing.
    pub doubles: Vec<Option<f64>>,
}

/// One of a point's blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The data points of a folder.
pub struct Analytics {
    writer: Writer,
    file: Arc<Path>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Analytics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Analytics({})", self.file.display())
    }
}

/// Rows of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The names of columns.
    pub columns: Vec<String>,
    /// Their values.
    pub rows: Vec<Vec<Cell>>,
}

impl Analytics {
    /// Opens the data points of a folder.
    ///
    /// # Errors
    /// When their file cannot be used.
    pub fn open(folder: &StateFolder) -> Result<Self, StorageError> {
        let file = folder.file("analytics", "analytics")?;
        let clock = folder.clock();
        let connection = sqlite::open(&file, LAYOUT, &*clock)?;
        Ok(Self { writer: Writer::start(connection, file.clone())?, file: file.into(), clock })
    }

    /// Notes a point. Whoever does that need not wait for it.
    pub fn note(
        &self,
        dataset: &str,
        point: Point,
        reply: impl FnOnce(Result<(), StorageError>) + Send + 'static,
    ) {
        if let Err(error) = check(&point) {
            return reply(Err(error));
        }
        let (file, dataset, now) = (self.file.clone(), dataset.to_owned(), self.clock.now_ms());
        let work = move |connection: &Connection| -> rusqlite::Result<()> {
            let places = ["?"; 3 + 2 * MOST_VALUES].join(", ");
            let sql = format!("INSERT INTO points VALUES ({places})");
            let mut values: Vec<Box<dyn ToSql>> =
                vec![Box::new(dataset), Box::new(now), Box::new(point.index)];
            let mut blobs = point.blobs.into_iter();
            for _ in 0..MOST_VALUES {
                values.push(match blobs.next().flatten() {
                    Some(Blob::Text(text)) => Box::new(text),
                    Some(Blob::Bytes(bytes)) => Box::new(bytes),
                    None => Box::new(None::<String>),
                });
            }
            let mut doubles = point.doubles.into_iter();
            (0..MOST_VALUES).for_each(|_| values.push(Box::new(doubles.next().flatten())));
            connection.prepare_cached(&sql)?.execute(params_from_iter(values))?;
            Ok(())
        };
        self.writer.write(move |c| work(c).map_err(|error| StorageError::sqlite(&file, error)), reply);
    }

    /// The same for somebody who does not wait: what the disk says is for whoever runs this.
    pub fn note_unheard(&self, dataset: &str, point: Point) {
        self.note(dataset, point, |answer| {
            if let Err(error) = answer {
                tracing::warn!("a data point is lost: {error}");
            }
        });
    }

    /// Waits until what was noted before is on disk, or lost.
    pub fn settle(&self) {
        let (done, settled) = mpsc::channel();
        self.writer.alone(move |_| drop(done));
        // The other half is dropped by the job, or with it when there is no thread to do it.
        let _dropped: Result<(), _> = settled.recv();
    }

    /// Answers a question about the datasets, each of which is a table: `timestamp` is text, and `_sample_interval` 1.
    ///
    /// # Errors
    /// When the SQL is wrong, or would change anything.
    pub fn query(&self, datasets: &[String], sql: &str) -> Result<Answer, StorageError> {
        let mut connection = sqlite::open_reader(&self.file)?;
        let failed =
            |error: rusqlite::Error| StorageError::refused(format!("the SQL cannot be run: {error}"));
        for dataset in datasets {
            let (name, text) = (dataset.replace('"', "\"\""), dataset.replace('\'', "''"));
            let columns: Vec<String> = ["blob", "double"]
                .iter()
                .flat_map(|kind| (1..=MOST_VALUES).map(move |i| format!("{kind}{i}")))
                .collect();
            let view = format!(
                "CREATE TEMP VIEW \"{name}\" AS SELECT dataset, \
                 strftime('%Y-%m-%d %H:%M:%S', timestamp / 1000, 'unixepoch') AS timestamp, index1, {}, \
                 1 AS _sample_interval FROM main.points WHERE dataset = '{text}'",
                columns.join(", ")
            );
            connection.execute_batch(&view).map_err(failed)?;
        }
        Deadline::watch(&mut connection, STEPS).map_err(failed)?.give(LONGEST_QUESTION);
        let mut statement = connection.prepare(sql).map_err(failed)?;
        if !statement.readonly() {
            return Err(StorageError::refused("the SQL is not a question: it would change data".to_owned()));
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let (mut answer, mut size) = (Answer { columns, rows: Vec::new() }, 0);
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let cells: rusqlite::Result<Vec<Cell>> = (0..answer.columns.len()).map(|i| row.get(i)).collect();
            let cells = cells.map_err(failed)?;
            size += cells.iter().map(size_of_cell).sum::<usize>();
            if size > LARGEST_ANSWER {
                let message = format!("the answer is too large: more than {LARGEST_ANSWER} bytes");
                return Err(StorageError::refused(message));
            }
            answer.rows.push(cells);
        }
        Ok(answer)
    }
}

fn size_of_cell(cell: &Cell) -> usize {
    let content = match cell {
        Cell::Text(text) => text.len(),
        Cell::Blob(bytes) => bytes.len(),
        _ => 0,
    };
    content + size_of::<Cell>()
}

/// Whether a point is within limits.
///
/// # Errors
/// When it is not.
pub fn check(point: &Point) -> Result<(), StorageError> {
    let refuse = |message: String| Err(StorageError::refused(message));
    for (what, count) in [("blobs", point.blobs.len()), ("doubles", point.doubles.len())] {
        if count > MOST_VALUES {
            return refuse(format!("a data point has at most {MOST_VALUES} {what}, not {count}"));
        }
    }
    if let Some(index) = point.index.as_ref().filter(|index| index.len() > LONGEST_INDEX) {
        return refuse(format!("the index is too long: {} > {LONGEST_INDEX} bytes", index.len()));
    }
    let size: usize = point
        .blobs
        .iter()
        .flatten()
        .map(|blob| match blob {
            Blob::Text(text) => text.len(),
            Blob::Bytes(bytes) => bytes.len(),
        })
        .sum();
    if size > LARGEST_BLOBS {
        return refuse(format!("the blobs are too large together: {size} > {LARGEST_BLOBS} bytes"));
    }
    Ok(())
}
