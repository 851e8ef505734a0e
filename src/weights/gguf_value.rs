//! The parts of a GGUF header, read one after the other.

/// The largest depth of nested arrays.
const MAX_DEPTH: usize = 4;

/// The largest number of integers of an array that is kept; longer arrays are skipped.
const MAX_KEPT: u64 = 16;

/// The most bytes of a header. Those of language models with their vocabulary have ten million.
pub(super) const MAX_HEADER_BYTES: usize = 64 << 20;

/// A value of the metadata.
pub(super) enum Value {
    /// A string, a float or a truth value as text.
    Text(String),
    Integer(i128),
    /// A short array of integers.
    Integers(Vec<i128>),
    /// Any other array.
    Skipped,
}

/// A position in the file. Messages say what was read and where the file ended.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Reader { bytes, position }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.position..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let taken = taken.ok_or_else(|| {
            if self.bytes.len() == MAX_HEADER_BYTES {
                return format!("expected a header of at most {MAX_HEADER_BYTES} bytes");
            }
            format!(
                "truncated: expected {what} of {len} bytes at {}, got {}; download it again",
                self.position,
                rest.len()
            )
        })?;
        self.position += taken.len();
        Ok(taken)
    }

    /// A little-endian number without sign.
    fn number(&mut self, len: u64, what: &str) -> Result<u64, String> {
        let bytes = self.take(len, what)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, String> {
        Ok(self.number(4, what)? as u32)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, String> {
        self.number(8, what)
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String, String> {
        let len = self.u64(what)?;
        let bytes = self.take(len, what)?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| format!("damaged: {what} is not UTF-8 text; download it again"))
    }

    /// The type and the value of a key.
    pub(super) fn value(&mut self, key: &str) -> Result<Value, String> {
        let number = self.u32(key)?;
        self.typed(number, key, 0)
    }

    /// A value of `gguf_metadata_value_type`.
    fn typed(&mut self, number: u32, key: &str, depth: usize) -> Result<Value, String> {
        Ok(match number {
            0 => Value::Integer(self.number(1, key)?.into()),
            1 => Value::Integer((self.number(1, key)? as i8).into()),
            2 => Value::Integer(self.number(2, key)?.into()),
            3 => Value::Integer((self.number(2, key)? as i16).into()),
            4 => Value::Integer(self.number(4, key)?.into()),
            5 => Value::Integer((self.number(4, key)? as i32).into()),
            6 => Value::Text(f32::from_bits(self.u32(key)?).to_string()),
            7 => Value::Text((self.number(1, key)? != 0).to_string()),
            8 => Value::Text(self.string(key)?),
            9 => self.array(key, depth)?,
            10 => Value::Integer(self.number(8, key)?.into()),
            11 => Value::Integer((self.number(8, key)? as i64).into()),
            12 => Value::Text(f64::from_bits(self.u64(key)?).to_string()),
            _ => return Err(format!("{key}: damaged: expected a type of 0 to 12, got {number}")),
        })
    }

    fn array(&mut self, key: &str, depth: usize) -> Result<Value, String> {
        if depth == MAX_DEPTH {
            return Err(format!("{key}: expected arrays of at most {MAX_DEPTH} levels"));
        }
        let number = self.u32(key)?;
        let count = self.u64(key)?;
        let size: Option<u64> = match number {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        };
        if let Some(size) = size
            && (count > MAX_KEPT || matches!(number, 6 | 7 | 12))
        {
            self.take(count.saturating_mul(size), key)?;
            return Ok(Value::Skipped);
        }
        let mut integers = Vec::new();
        // Every element takes bytes of the file, so that no count lasts longer than those.
        for _ in 0..count {
            if let Value::Integer(integer) = self.typed(number, key, depth + 1)? {
                integers.push(integer);
            }
        }
        Ok(if size.is_some() { Value::Integers(integers) } else { Value::Skipped })
    }
}
