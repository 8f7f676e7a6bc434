//! `d1.*`: databases.
//!
//! Statements come as JSON, `[[SQL, [parameter, …]], …]`, and their results go back as JSON, since both languages of the guest read
//! that fast: `[{"columns": […], "rows": [[…], …], "blobs": bool, "meta": {…}}, …]`. A blob is `{"b": Base64}` in both
//! directions, and a parameter that is no number of JSON's is `{"f": "inf"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};
use taipan_engine::OpReply;
use taipan_guest::protocol::{Field, Message};
use taipan_storage::d1::{Done, ScriptDone, Statement, Value};

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
        "run" => store.run(
            statements(args.str(1)?)?,
            parts.answer(id, |done: Vec<Done>| Ok(vec![results(&done).into()])),
        ),
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

fn statements(text: &str) -> Result<Vec<Statement>, OpError> {
    let malformed = || OpError::type_error("statements are a list of pairs of SQL and parameters");
    let pairs: Vec<(String, Vec<Json>)> = serde_json::from_str(text).map_err(|_| malformed())?;
    if pairs.len() > MOST_STATEMENTS {
        let message = format!("too many statements in a batch: {} > {MOST_STATEMENTS}", pairs.len());
        return Err(OpError::range_error(message));
    }
    let statement = |(sql, params): (String, Vec<Json>)| {
        if sql.len() > LONGEST_SQL {
            let message = format!("the SQL is too long: {} > {LONGEST_SQL} bytes", sql.len());
            return Err(OpError::range_error(message));
        }
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
