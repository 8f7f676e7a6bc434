//! `d1.*`: databases.
//!
//! Statements come as JSON, `[[SQL, [parameter, …]], …]`, and their results go back as JSON, since both languages of the guest read
//! that fast: `[{"columns": […], "rows": [[…], …], "blobs": bool, "meta": {…}}, …]`. A blob is `{"b": Base64}` in both
//! directions, and a parameter that is no number of JSON's is `{"f": "inf"}`. Python has a road of its own, `d1.query`, on which
//! values are fields of a message: what takes longest otherwise is JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};
use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, FieldRef, Message};
use taipan_storage::d1::{D1Database, Done, Now, ScriptDone, Statement, Table, Value};

use super::OpError;
use super::data::Parts;

/// Longest SQL, in bytes.
const LONGEST_SQL: usize = 100_000;
/// Most statements in a batch.
const MOST_STATEMENTS: usize = 1000;
/// A script may be an import.
const LONGEST_SCRIPT: usize = 64 << 20;

pub(super) fn call(verb: &str, id: u32, args: &Message<'_>, parts: &Parts<'_>) -> Result<OpReply, OpError> {
    let store = parts.store(args, |table| &table.d1)?;
    match verb {
        "run" => {
            let statements = statements(args.str(1)?)?;
            let fields = |done: Vec<Done>| vec![Field::Str(results(&done))];
            match store.run_now(&statements) {
                Now::Done(done) => return Ok(parts.now(id, fields(done))),
                Now::Writes => store.write_as(statements, parts.answer(id, move |done| Ok(fields(done)))),
                Now::Later => store.run_as(statements, parts.answer(id, move |done| Ok(fields(done)))),
            }
        }
        "query" => return query(id, args, parts, &store),
        "script" => {
            let sql = args.str(1)?;
            if sql.len() > LONGEST_SCRIPT {
                return Err(OpError::range_error(format!("the SQL is too long: {} bytes", sql.len())));
            }
            let fields = |done: ScriptDone| Ok(vec![Field::Num(done.count as f64), done.duration_ms.into()]);
            store.script(sql.to_owned(), parts.answer(id, fields));
        }
        "bookmark" => return Ok(OpReply::Ready(vec![store.bookmark().into()])),
        _ => return Err(OpError::unknown(verb)),
    }
    Ok(OpReply::Later)
}

/// What Python wants of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    FirstRow,
    Rows,
    Everything,
}

fn query(id: u32, args: &Message<'_>, parts: &Parts<'_>, store: &D1Database) -> Result<OpReply, OpError> {
    let wanted = match args.int(1)? {
        0 => Wanted::FirstRow,
        1 => Wanted::Rows,
        _ => Wanted::Everything,
    };
    let statements = typed_statements(args)?;
    let fields =
        move |done: Vec<Done<Table>>| done.into_iter().flat_map(|done| given(done, wanted)).collect();
    let now = match &*statements {
        [one] if wanted != Wanted::Everything => match store.rows_now(one) {
            Now::Done(rows) => Now::Done(table(rows, wanted)),
            Now::Writes => Now::Writes,
            Now::Later => Now::Later,
        },
        several => match store.run_now(several) {
            Now::Done(done) => Now::Done(fields(done)),
            Now::Writes => Now::Writes,
            Now::Later => Now::Later,
        },
    };
    match now {
        Now::Done(fields) => return Ok(parts.now(id, fields)),
        Now::Writes => store.write_as(statements, parts.answer(id, move |done| Ok(fields(done)))),
        Now::Later => store.run_as(statements, parts.answer(id, move |done| Ok(fields(done)))),
    }
    Ok(OpReply::Later)
}

fn typed_statements(args: &Message<'_>) -> Result<Vec<Statement>, OpError> {
    let mut statements = Vec::new();
    let mut at = 2;
    while at < args.len() {
        check_count(statements.len() + 1)?;
        let sql = args.str(at)?;
        check_length(sql)?;
        let count = usize::try_from(args.int(at + 1)?).unwrap_or_default().min(args.len());
        let params = (at + 2..at + 2 + count).map(|i| match args.get(i) {
            FieldRef::Null => Value::Null,
            FieldRef::Str(text) => Value::Text(text.to_owned()),
            FieldRef::Bytes(bytes) => Value::Blob(bytes.to_vec()),
            FieldRef::Int(value) => Value::Integer(value),
            FieldRef::Num(value) | FieldRef::Real(value) => Value::Real(value),
        });
        statements.push(Statement { sql: sql.to_owned(), params: params.collect() });
        at += 2 + count;
    }
    Ok(statements)
}

fn given(done: Done<Table>, wanted: Wanted) -> Vec<Field> {
    if wanted != Wanted::Everything {
        return table(done.rows, wanted);
    }
    let count = |n: u64| Field::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let mut fields = vec![
        Field::Real(done.duration_ms),
        count(done.changes),
        Field::Int(done.last_row_id),
        Field::Int(done.changed_db.into()),
        count(done.size_after),
        count(done.rows_read),
        count(done.rows_written),
        count(done.rows.values.len() as u64),
    ];
    fields.extend(table(done.rows, wanted));
    fields
}

fn table(rows: Table, wanted: Wanted) -> Vec<Field> {
    let width = rows.columns.len();
    let most = if wanted == Wanted::FirstRow { width } else { usize::MAX };
    let mut fields = Vec::with_capacity(1 + width + rows.values.len().min(most));
    fields.push(Field::Int(i64::try_from(width).unwrap_or_default()));
    fields.extend(rows.columns.into_iter().map(Field::Str));
    fields.extend(rows.values.into_iter().take(most).map(|value| match value {
        Value::Null => Field::Null,
        Value::Integer(value) => Field::Int(value),
        Value::Real(value) => Field::Real(value),
        Value::Text(text) => Field::Str(text),
        Value::Blob(bytes) => Field::Bytes(bytes),
    }));
    fields
}

fn check_count(count: usize) -> Result<(), OpError> {
    match count > MOST_STATEMENTS {
        true => {
            Err(OpError::range_error(format!("too many statements in a batch: {count} > {MOST_STATEMENTS}")))
        }
        false => Ok(()),
    }
}

fn check_length(sql: &str) -> Result<(), OpError> {
    let length = sql.len();
    match length > LONGEST_SQL {
        true => Err(OpError::range_error(format!("the SQL is too long: {length} > {LONGEST_SQL} bytes"))),
        false => Ok(()),
    }
}

fn statements(text: &str) -> Result<Vec<Statement>, OpError> {
    let malformed = || OpError::type_error("statements are a list of pairs of SQL and parameters");
    let pairs: Vec<(String, Vec<Json>)> = serde_json::from_str(text).map_err(|_| malformed())?;
    check_count(pairs.len())?;
    let statement = |(sql, params): (String, Vec<Json>)| {
        check_length(&sql)?;
        Ok(Statement { sql, params: params.into_iter().map(value).collect::<Result<_, _>>()? })
    };
    pairs.into_iter().map(statement).collect()
}

fn value(json: Json) -> Result<Value, OpError> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Integer(flag.into()),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, _) if number.is_u64() => {
                return Err(OpError::range_error(format!("the integer does not fit into 64 bits: {number}")));
            }
            (None, real) => Value::Real(real.unwrap_or(f64::NAN)),
        },
        Json::Object(tagged) => match (tagged.get("b"), tagged.get("f")) {
            (Some(Json::String(text)), _) => match BASE64.decode(text) {
                Ok(bytes) => Value::Blob(bytes),
                Err(_) => return Err(OpError::type_error("a blob is not Base64")),
            },
            (_, Some(Json::String(sign))) => {
                Value::Real(if sign == "-inf" { f64::NEG_INFINITY } else { f64::INFINITY })
            }
            _ => return Err(OpError::type_error("a parameter is an object")),
        },
        Json::Array(_) => return Err(OpError::type_error("a parameter is a list")),
    })
}

fn results(done: &[Done]) -> String {
    let mut text = "[".to_owned();
    for (i, done) in done.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        let meta = json!({
            "served_by": "taipan",
            "duration": done.duration_ms,
            "changes": done.changes,
            "last_row_id": done.last_row_id,
            "changed_db": done.changed_db,
            "size_after": done.size_after,
            "rows_read": done.rows_read,
            "rows_written": done.rows_written,
        });
        let columns = json!(done.rows.columns);
        let (rows, blobs) = (&done.rows.json, done.rows.has_blobs);
        text.push_str(&format!(r#"{{"columns":{columns},"rows":{rows},"blobs":{blobs},"meta":{meta}}}"#));
    }
    text.push(']');
    text
}
