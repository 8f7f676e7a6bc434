//! Function types in the shape that the guest's JavaScript speaks of them: `iie:j`.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taipan_wasm::ValueType;
use wasmtime::{Engine, FuncType, HeapType, ValType};

/// The most parameters that a function may have to be called across the border; the shim's buffers have this size. What LAPACK
/// calls through JavaScript, to catch exceptions, has 38.
pub(crate) const MAX_PARAMS: usize = 40;

/// A type that can cross the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    I32,
    I64,
    F32,
    F64,
    /// A handle of the engine's, where the module had an `externref`.
    Extern,
    Func,
}

impl Kind {
    pub(crate) fn of(ty: &ValType) -> Option<Self> {
        Some(match ty {
            ValType::I32 => Self::I32,
            ValType::I64 => Self::I64,
            ValType::F32 => Self::F32,
            ValType::F64 => Self::F64,
            ValType::V128 => return None,
            ValType::Ref(r) => match r.heap_type().top() {
                HeapType::Func => Self::Func,
                _ => return None,
            },
        })
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            b'i' => Self::I32,
            b'j' => Self::I64,
            b'f' => Self::F32,
            b'd' => Self::F64,
            b'e' => Self::Extern,
            b'F' => Self::Func,
            _ => return None,
        })
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::I32 => b'i',
            Self::I64 => b'j',
            Self::F32 => b'f',
            Self::F64 => b'd',
            Self::Extern => b'e',
            Self::Func => b'F',
        }
    }

    pub(crate) fn val_type(self) -> ValType {
        match self {
            // References are handles: `taipan_wasm::references`.
            Self::I32 | Self::Extern => ValType::I32,
            Self::I64 => ValType::I64,
            Self::F32 => ValType::F32,
            Self::F64 => ValType::F64,
            Self::Func => ValType::FUNCREF,
        }
    }
}

/// The type of a function that can be called across the border.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) params: Vec<Kind>,
    pub(crate) result: Option<Kind>,
    /// `iie:j`; `v` for no result.
    pub(crate) text: String,
}

impl Signature {
    fn new(params: Vec<Kind>, result: Option<Kind>) -> Self {
        let mut text: String = params.iter().map(|k| char::from(k.code())).collect();
        text.push(':');
        text.push(result.map_or('v', |k| char::from(k.code())));
        Self { params, result, text }
    }

    /// `None` for a type that JavaScript cannot call: vectors, several results, too many parameters.
    fn of_type(ty: &FuncType) -> Option<Self> {
        let params = ty.params().map(|p| Kind::of(&p)).collect::<Option<Vec<_>>>()?;
        let mut results = ty.results();
        let result = match results.next() {
            Some(r) => Some(Kind::of(&r)?),
            None => None,
        };
        (results.next().is_none() && params.len() <= MAX_PARAMS).then(|| Self::new(params, result))
    }

    /// As [`Self::of_type`], of a type as it was before references became numbers.
    pub(crate) fn of_references((params, results): &taipan_wasm::FunctionType) -> Option<Self> {
        let kind = |ty: &ValueType| {
            Some(match ty {
                ValueType::I32 => Kind::I32,
                ValueType::I64 => Kind::I64,
                ValueType::F32 => Kind::F32,
                ValueType::F64 => Kind::F64,
                ValueType::ExternRef => Kind::Extern,
                ValueType::FuncRef => Kind::Func,
                ValueType::V128 | ValueType::ExnRef => return None,
            })
        };
        let params = params.iter().map(kind).collect::<Option<Vec<_>>>()?;
        let result = match results.as_slice() {
            [] => None,
            [result] => Some(kind(result)?),
            _ => return None,
        };
        (params.len() <= MAX_PARAMS).then(|| Self::new(params, result))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (params, result) = text.split_once(':')?;
        let params = params.bytes().map(Kind::of_code).collect::<Option<Vec<_>>>()?;
        let result = match result.as_bytes() {
            b"v" | b"" => None,
            [code] => Some(Kind::of_code(*code)?),
            _ => return None,
        };
        (params.len() <= MAX_PARAMS).then(|| Self::new(params, result))
    }

    pub(crate) fn func_type(&self, engine: &Engine) -> FuncType {
        FuncType::new(
            engine,
            self.params.iter().map(|k| k.val_type()).collect::<Vec<_>>(),
            self.result.map(Kind::val_type),
        )
    }
}

/// Signatures by their text, each made once.
#[derive(Default)]
pub(crate) struct Signatures(HashMap<String, Arc<Signature>>);

impl Signatures {
    pub(crate) fn of_type(&mut self, ty: &FuncType) -> Option<Arc<Signature>> {
        Signature::of_type(ty).map(|s| self.intern(s))
    }

    pub(crate) fn parse(&mut self, text: &str) -> Option<Arc<Signature>> {
        match self.0.get(text) {
            Some(s) => Some(s.clone()),
            None => Signature::parse(text).map(|s| self.intern(s)),
        }
    }

    fn intern(&mut self, signature: Signature) -> Arc<Signature> {
        self.0.entry(signature.text.clone()).or_insert_with(|| Arc::new(signature)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["iie:j", ":v", "dfjF:e"] {
            assert_eq!(Signature::parse(text).unwrap().text, text);
        }
        assert!(Signature::parse("iix:v").is_none());
        assert!(Signature::parse("ii").is_none());
        assert!(Signature::parse(&("i".repeat(MAX_PARAMS) + ":v")).is_some());
        assert!(Signature::parse(&("i".repeat(MAX_PARAMS + 1) + ":v")).is_none());
    }
}
