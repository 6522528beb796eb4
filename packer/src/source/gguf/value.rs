//! The values of GGUF's key-value pairs.

use std::fmt;

use super::GgufError;
use super::cursor::Cursor;

type Result<T> = std::result::Result<T, GgufError>;

/// A value, borrowing texts and arrays from the file.
#[derive(Clone)]
pub(crate) enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Text(&'a str),
    Array(Array<'a>),
}

/// An array of numbers or texts, whose extent and texts have been checked.
#[derive(Clone)]
pub(crate) struct Array<'a> {
    element: Type,
    len: u64,
    elements: Cursor<'a>,
}

/// The type codes of GGUF values.
#[derive(Clone, Copy, PartialEq)]
enum Type {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Type {
    fn from_code(code: u32, key: &str) -> Result<Self> {
        const TYPES: [Type; 13] = [
            Type::U8,
            Type::I8,
            Type::U16,
            Type::I16,
            Type::U32,
            Type::I32,
            Type::F32,
            Type::Bool,
            Type::Text,
            Type::Array,
            Type::U64,
            Type::I64,
            Type::F64,
        ];
        let found = TYPES.get(code as usize).copied();
        found.ok_or_else(|| GgufError::UnknownValueType { key: key.into(), code })
    }

    /// Bytes of one element; `None` where elements differ in length.
    fn size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::Array => None,
        }
    }
}

const WHAT: &str = "a value";

impl<'a> Value<'a> {
    /// Reads the value of `key`: its type, then its bytes.
    pub(super) fn read(cursor: &mut Cursor<'a>, key: &str) -> Result<Self> {
        let ty = Type::from_code(cursor.u32(WHAT)?, key)?;
        if ty == Type::Array { Array::read(cursor, key).map(Self::Array) } else { Self::element(cursor, ty, key) }
    }

    fn element(cursor: &mut Cursor<'a>, ty: Type, key: &str) -> Result<Self> {
        Ok(match ty {
            Type::U8 => Self::Unsigned(u8::from_le_bytes(cursor.array(WHAT)?).into()),
            Type::I8 => Self::Signed(i8::from_le_bytes(cursor.array(WHAT)?).into()),
            Type::U16 => Self::Unsigned(u16::from_le_bytes(cursor.array(WHAT)?).into()),
            Type::I16 => Self::Signed(i16::from_le_bytes(cursor.array(WHAT)?).into()),
            Type::U32 => Self::Unsigned(cursor.u32(WHAT)?.into()),
            Type::I32 => Self::Signed(i32::from_le_bytes(cursor.array(WHAT)?).into()),
            Type::U64 => Self::Unsigned(cursor.u64(WHAT)?),
            Type::I64 => Self::Signed(i64::from_le_bytes(cursor.array(WHAT)?)),
            Type::F32 => Self::F32(f32::from_le_bytes(cursor.array(WHAT)?)),
            Type::F64 => Self::F64(f64::from_le_bytes(cursor.array(WHAT)?)),
            Type::Text => Self::Text(cursor.text("a text value")?),
            Type::Bool => match cursor.array(WHAT)? {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                [found] => return Err(GgufError::BadBool { key: key.into(), found }),
            },
            Type::Array => return Err(GgufError::NestedArray { key: key.into() }),
        })
    }
}

impl<'a> Array<'a> {
    fn read(cursor: &mut Cursor<'a>, key: &str) -> Result<Self> {
        let element = Type::from_code(cursor.u32("an array")?, key)?;
        let len = cursor.u64("an array")?;
        let elements = cursor.clone();
        match element.size() {
            Some(size) => {
                cursor.take(len.saturating_mul(size), "an array")?;
            }
            None if element == Type::Array => return Err(GgufError::NestedArray { key: key.into() }),
            // each text takes at least the eight bytes of its length, so a wild count ends at the end of the file
            None => (0..len).try_for_each(|_| cursor.text("a text in an array").map(drop))?,
        }
        Ok(Self { element, len, elements })
    }

    /// How many elements it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The elements, in order; they were all readable once, so none is lost.
    fn iter(&self) -> impl Iterator<Item = Result<Value<'a>>> + use<'a> {
        let (mut elements, element) = (self.elements.clone(), self.element);
        (0..self.len).map(move |_| Value::element(&mut elements, element, ""))
    }

    /// The elements as texts; `None` if they are something else.
    pub fn texts(&self) -> Option<Vec<&'a str>> {
        let text = |v: Result<Value<'a>>| match v {
            Ok(Value::Text(text)) => Some(text),
            _ => None,
        };
        self.iter().map(text).collect()
    }

    /// The elements as 32-bit integers; `None` if they are something else, or larger.
    pub fn integers(&self) -> Option<Vec<i32>> {
        let integer = |v: Result<Value<'a>>| match v.ok()? {
            Value::Signed(n) => i32::try_from(n).ok(),
            Value::Unsigned(n) => i32::try_from(n).ok(),
            _ => None,
        };
        self.iter().map(integer).collect()
    }

    /// The elements as truth values; `None` if they are something else.
    pub fn bools(&self) -> Option<Vec<bool>> {
        let truth = |v: Result<Value<'a>>| match v {
            Ok(Value::Bool(b)) => Some(b),
            _ => None,
        };
        self.iter().map(truth).collect()
    }

    /// The elements as `f32`; `None` if they are something else.
    pub fn floats(&self) -> Option<Vec<f32>> {
        let float = |v: Result<Value<'a>>| match v {
            Ok(Value::F32(x)) => Some(x),
            _ => None,
        };
        self.iter().map(float).collect()
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(n) => n.fmt(f),
            Self::Signed(n) => n.fmt(f),
            Self::F32(x) => x.fmt(f),
            Self::F64(x) => x.fmt(f),
            Self::Bool(b) => b.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Array(array) => array.fmt(f),
        }
    }
}

/// Prints at most as many elements as a person would read.
impl fmt::Display for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        f.write_str("[")?;
        for (i, value) in self.iter().take(SHOWN).enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            if let Ok(value) = value {
                value.fmt(f)?;
            }
        }
        if self.len > SHOWN as u64 {
            write!(f, ", ... {} in all", self.len)?;
        }
        f.write_str("]")
    }
}
