//! Tensors in a file, to constants: integers of all widths are read as i64 and floating point of all widths as
//! f32, from little-endian bytes, from the typed lists that older writers use, or from a file beside the model.
//! Numbers are looked at only when somebody asks for them, since a dead initializer may be of any type.

use std::cell::OnceCell;
use std::sync::Arc;

use half::{bf16, f16};

use super::external::{External, Folder};
use super::wire::{DAMAGED, Message};
use crate::error::{Error, Result};
use crate::onnx::fold::strides::MOST_ELEMENTS;
use crate::onnx::graph::{Constant, Kind, Numbers};

/// Most sides of a tensor.
const RANK: usize = 64;

/// A `TensorProto`.
#[derive(Debug, Default)]
pub(super) struct Tensor<'a> {
    /// Its name; empty in an attribute.
    pub(super) name: &'a str,
    /// Number of its bytes in the file.
    pub(super) size: usize,
    dims: Vec<i64>,
    data_type: i64,
    raw: &'a [u8],
    floats: Vec<f32>,
    doubles: Vec<f64>,
    ints: Vec<i64>,
    longs: Vec<i64>,
    unsigned: Vec<i64>,
    is_segment: bool,
    external: External<'a>,
    is_external: bool,
    decoded: OnceCell<Arc<Constant>>,
}

/// What the elements of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    code: i64,
    /// The usual name: `f32`.
    pub(super) name: &'static str,
    /// Bytes of one in `raw_data`.
    width: usize,
    /// What networks see.
    pub(super) kind: Kind,
}

impl Element {
    /// The element type of this number in the schema; otherwise what a tensor of it holds.
    pub(super) fn of(code: i64) -> Result<Self, String> {
        let (name, width, kind) = match code {
            1 => ("f32", 4, Kind::Float),
            2 => ("uint8", 1, Kind::Int),
            3 => ("int8", 1, Kind::Int),
            4 => ("uint16", 2, Kind::Int),
            5 => ("int16", 2, Kind::Int),
            6 => ("int32", 4, Kind::Int),
            7 => ("int64", 8, Kind::Int),
            9 => ("bool", 1, Kind::Bool),
            10 => ("f16", 2, Kind::Float),
            11 => ("f64", 8, Kind::Float),
            12 => ("uint32", 4, Kind::Int),
            13 => ("uint64", 8, Kind::Int),
            16 => ("bf16", 2, Kind::Float),
            0 => return Err("elements of no stated data type".into()),
            8 => return Err("strings".into()),
            14 | 15 => return Err("complex numbers".into()),
            17..=20 | 24 => return Err("8-bit floating point".into()),
            21 | 22 => return Err("4-bit integers".into()),
            25 | 26 => return Err("2-bit integers".into()),
            23 => return Err("4-bit floating point".into()),
            27 | 28 => return Err("6-bit floating point".into()),
            code => return Err(format!("elements of data type {code}, which is unknown")),
        };
        Ok(Self { code, name, width, kind })
    }
}

impl<'a> Tensor<'a> {
    /// Reads the fields of `message` into it.
    pub(super) fn merge(&mut self, message: Message<'a>) -> Result<()> {
        self.size = self.size.saturating_add(message.len());
        for field in message {
            let field = field?;
            match field.number {
                1 => field.ints("dims", &mut self.dims)?,
                2 => self.data_type = field.int("data_type")?,
                3 => self.is_segment = true,
                4 => field.floats("float_data", &mut self.floats)?,
                5 => field.ints("int32_data", &mut self.ints)?,
                7 => field.ints("int64_data", &mut self.longs)?,
                8 => self.name = field.text("name")?,
                9 => self.raw = field.bytes("raw_data")?,
                10 => field.doubles("double_data", &mut self.doubles)?,
                11 => field.ints("uint64_data", &mut self.unsigned)?,
                13 => {
                    self.external
                        .merge(field.message("external_data", "StringStringEntryProto")?)?;
                }
                14 => self.is_external = field.int("data_location")? == 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// What its elements are; otherwise what it holds that is not read.
    pub(super) fn element(&self) -> Result<Element, String> {
        Element::of(self.data_type)
    }

    /// Its numbers, read once. `what` names it in errors: `initializer w`.
    ///
    /// # Errors
    /// If sides and bytes do not fit each other, the element type is not read, or a number is NaN.
    pub(super) fn decode(&self, what: &str, folder: &Folder<'_>) -> Result<Arc<Constant>> {
        if let Some(decoded) = self.decoded.get() {
            return Ok(Arc::clone(decoded));
        }
        let decoded = Arc::new(self.decode_now(what, folder)?);
        Ok(Arc::clone(self.decoded.get_or_init(|| decoded)))
    }

    fn decode_now(&self, what: &str, folder: &Folder<'_>) -> Result<Constant> {
        let wrong = |problem: String| Error::file(folder.path, what, problem, DAMAGED);
        let element = self.element().map_err(|held| {
            let remedy = "export the network with weights of f32";
            Error::file(folder.path, what, format!("it holds {held}"), remedy)
        })?;
        if self.is_segment {
            return Err(wrong("it is stored in segments, which no writer of ONNX does".into()));
        }
        let (sides, count) = self.sides().map_err(&wrong)?;
        let lists = [
            ("float_data", self.floats.len(), &[1][..]),
            ("int32_data", self.ints.len(), &[2, 3, 4, 5, 6, 9, 10, 16]),
            ("int64_data", self.longs.len(), &[7]),
            ("double_data", self.doubles.len(), &[11]),
            ("uint64_data", self.unsigned.len(), &[12, 13]),
        ];
        let mut typed = lists.iter().filter(|list| list.1 > 0);
        let stored = typed.next();
        let here = if self.raw.is_empty() { None } else { Some("raw_data") };
        let other = typed.next().or(stored.filter(|_| here.is_some() || self.is_external));
        if let Some((other, ..)) = other {
            let first = match here {
                Some(raw) => raw,
                None if self.is_external => "external data",
                None => stored.map_or("", |list| list.0),
            };
            return Err(wrong(format!("it has {first} and {other}, and only one can be meant")));
        }
        let short = |bytes: usize| {
            let (name, need) = (element.name, count.saturating_mul(element.width));
            let elements = if count == 1 { "element" } else { "elements" };
            wrong(format!(
                "{count} {elements} of {name} are declared, which take {need} bytes, and {bytes} bytes are there"
            ))
        };
        let numbers = if let Some((name, length, codes)) = stored {
            if !codes.contains(&element.code) {
                return Err(wrong(format!("it has {name}, where no {} is stored", element.name)));
            }
            if *length != count {
                return Err(short(length.saturating_mul(element.width)));
            }
            self.typed(element).map_err(&wrong)?
        } else if self.is_external {
            if !self.raw.is_empty() {
                return Err(wrong("it has raw_data and external data".into()));
            }
            let need = count.checked_mul(element.width).ok_or_else(|| short(0))?;
            let bytes = self.external.read(what, folder, need)?;
            raw(&bytes, element).map_err(&wrong)?
        } else {
            if count.checked_mul(element.width) != Some(self.raw.len()) {
                return Err(short(self.raw.len()));
            }
            raw(self.raw, element).map_err(&wrong)?
        };
        if matches!(&numbers, Numbers::Floats(numbers) if numbers.iter().any(|x| x.is_nan())) {
            return Err(wrong("it has values that are not finite (NaN)".into()));
        }
        Ok(Constant { sides, numbers })
    }

    /// Its sides and the number of its elements, which may be zero.
    fn sides(&self) -> Result<(Vec<usize>, usize), String> {
        if self.dims.len() > RANK {
            return Err(format!("it has {} sides, more than {RANK}", self.dims.len()));
        }
        let sides = self.dims.iter().map(|side| usize::try_from(*side));
        let Ok(sides) = sides.collect::<Result<Vec<_>, _>>() else {
            return Err(format!("its dims {:?} are no sizes", self.dims));
        };
        // Also without the sides that are zero, so that no product of some of them overflows.
        let product = sides.iter().filter(|side| **side > 0).try_fold(1_usize, |product, side| {
            product.checked_mul(*side).filter(|product| *product <= isize::MAX.unsigned_abs())
        });
        let product =
            product.ok_or(format!("the product of its dims {:?} overflows", self.dims))?;
        if product > MOST_ELEMENTS {
            let sides = &self.dims;
            return Err(format!("its dims {sides:?} are more than {MOST_ELEMENTS} numbers"));
        }
        let count = if sides.contains(&0) { 0 } else { product };
        Ok((sides, count))
    }

    /// Numbers of the list that belongs to `element`.
    fn typed(&self, element: Element) -> Result<Numbers, String> {
        let fits = |low: i64, high: i64| match self.ints.iter().find(|n| !(low..=high).contains(n))
        {
            Some(number) => {
                Err(format!("the number {number} in int32_data is no {}", element.name))
            }
            None => Ok(Numbers::Ints(self.ints.clone())),
        };
        let bits = || {
            let bits = self.ints.iter().map(|bits| u16::try_from(*bits));
            let bits = bits.collect::<Result<Vec<_>, _>>();
            bits.map_err(|_| {
                format!("a number in int32_data has more bits than a {}", element.name)
            })
        };
        Ok(match element.code {
            1 => Numbers::Floats(self.floats.clone()),
            2 => fits(0, u8::MAX.into())?,
            3 => fits(i8::MIN.into(), i8::MAX.into())?,
            4 => fits(0, u16::MAX.into())?,
            5 => fits(i16::MIN.into(), i16::MAX.into())?,
            6 => fits(i32::MIN.into(), i32::MAX.into())?,
            9 => Numbers::Bools(self.ints.iter().map(|bit| *bit != 0).collect()),
            10 => {
                Numbers::Floats(bits()?.into_iter().map(|b| f16::from_bits(b).to_f32()).collect())
            }
            16 => {
                Numbers::Floats(bits()?.into_iter().map(|b| bf16::from_bits(b).to_f32()).collect())
            }
            11 => Numbers::Floats(self.doubles.iter().map(|number| *number as f32).collect()),
            7 => Numbers::Ints(self.longs.clone()),
            // uint32 and uint64.
            _ => unsigned(self.unsigned.iter().copied())?,
        })
    }
}

/// Integers that are u64 of the same bits.
fn unsigned(numbers: impl Iterator<Item = i64> + Clone) -> Result<Numbers, String> {
    match numbers.clone().find(|number| *number < 0) {
        Some(number) => Err(format!("the number {} is more than 2^63 - 1", number.cast_unsigned())),
        None => Ok(Numbers::Ints(numbers.collect())),
    }
}

/// Numbers from little-endian bytes.
fn raw(bytes: &[u8], element: Element) -> Result<Numbers, String> {
    fn each<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
    }
    Ok(match element.code {
        1 => Numbers::Floats(each(bytes, f32::from_le_bytes)),
        10 => Numbers::Floats(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
        16 => Numbers::Floats(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        11 => Numbers::Floats(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        2 => Numbers::Ints(each(bytes, |b| u8::from_le_bytes(b).into())),
        3 => Numbers::Ints(each(bytes, |b| i8::from_le_bytes(b).into())),
        4 => Numbers::Ints(each(bytes, |b| u16::from_le_bytes(b).into())),
        5 => Numbers::Ints(each(bytes, |b| i16::from_le_bytes(b).into())),
        6 => Numbers::Ints(each(bytes, |b| i32::from_le_bytes(b).into())),
        7 => Numbers::Ints(each(bytes, i64::from_le_bytes)),
        12 => Numbers::Ints(each(bytes, |b| u32::from_le_bytes(b).into())),
        13 => unsigned(bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)))?,
        // bool.
        _ => Numbers::Bools(bytes.iter().map(|byte| *byte != 0).collect()),
    })
}
