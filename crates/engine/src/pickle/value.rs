//! What a pickle can leave behind: a few kinds of plain data in one arena. Objects refer to each
//! other by number, so that shared and even circular structures cost nothing to build and nothing
//! to drop, and no reader of them recurses.

use std::rc::Rc;

use super::global::Global;
use super::tensor::{Storage, View};

/// One value on the stack or inside an object. Small and copied freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// A whitelisted name, not called yet.
    Global(Global),
    /// Something with content, in the [`Heap`].
    Object(Id),
    /// Something that no weight depends on: a float, a set, a numpy scalar. Its content is dropped.
    Inert,
}

/// Number of an object in its [`Heap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(u32);

/// A value with content.
#[derive(Debug)]
pub enum Object {
    /// A string. Shared, because memoised keys are used many times.
    Text(Rc<str>),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// An array of numpy; `None` until its state is known, or if that is not understood.
    Array(Option<Array>),
    /// An integer of more than 64 bits, two's complement, lowest byte first.
    Long(Vec<u8>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A list.
    List(Vec<Value>),
    /// A `dict` or `OrderedDict`, in the order of the file; of equal keys the last one counts.
    Dict(Vec<(Value, Value)>),
    /// A reference to a block of numbers outside the pickle.
    Storage(Storage),
    /// A tensor: a view into a storage.
    Tensor(Rc<View>),
}

/// An array of numpy as its pickle describes it. Nothing about it is checked.
#[derive(Debug)]
pub struct Array {
    /// Extent of each dimension.
    pub shape: Vec<u64>,
    /// The first index varies fastest.
    pub column_major: bool,
    /// Its numbers: bytes, or a string if they happen to be text.
    pub numbers: Value,
}

impl Array {
    /// What the state of an `ndarray` says: version, shape, type, order and numbers.
    pub(crate) fn from_state(heap: &Heap, state: Value) -> Option<Self> {
        let [_, shape, _, Value::Bool(column_major), numbers] = heap.tuple(state)? else {
            return None;
        };
        let side = |value: &Value| match value {
            Value::Int(side) => u64::try_from(*side).ok(),
            _ => None,
        };
        let shape = heap.tuple(*shape)?.iter().map(side).collect::<Option<_>>()?;
        Some(Self { shape, column_major: *column_major, numbers: *numbers })
    }
}

/// All objects of one pickle.
#[derive(Debug, Default)]
pub struct Heap(Vec<Object>);

impl Heap {
    /// The most objects a pickle may hold. A tensor takes about ten, so this is far beyond any
    /// network and caps the memory that a hostile file can ask for.
    const LIMIT: usize = 1 << 22;

    /// Stores `object`; `None` if there are too many.
    pub(crate) fn add(&mut self, object: Object) -> Option<Value> {
        if self.0.len() >= Self::LIMIT {
            return None;
        }
        let id = u32::try_from(self.0.len()).ok()?;
        self.0.push(object);
        Some(Value::Object(Id(id)))
    }

    /// The object behind `value`, if it is one.
    pub fn get(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(id) => self.0.get(id.0 as usize),
            _ => None,
        }
    }

    /// The object behind `value`, to append to it.
    pub(crate) fn get_mut(&mut self, value: Value) -> Option<&mut Object> {
        match value {
            Value::Object(id) => self.0.get_mut(id.0 as usize),
            _ => None,
        }
    }

    /// The string behind `value`, if it is one.
    pub(crate) fn text(&self, value: Value) -> Option<&Rc<str>> {
        match self.get(value) {
            Some(Object::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The bytes behind `value`, if it has any: Python 2 wrote bytes as strings.
    pub fn bytes(&self, value: Value) -> Option<&[u8]> {
        match self.get(value) {
            Some(Object::Bytes(bytes)) => Some(bytes),
            Some(Object::Text(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The items of the tuple behind `value`, if it is one.
    pub(crate) fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.get(value) {
            Some(Object::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    /// The items of the tuple or list behind `value`, if it is one.
    pub(crate) fn items(&self, value: Value) -> Option<&[Value]> {
        match self.get(value) {
            Some(Object::Tuple(items) | Object::List(items)) => Some(items),
            _ => None,
        }
    }

    /// The pairs of the dict behind `value`, if it is one.
    pub fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.get(value) {
            Some(Object::Dict(pairs)) => Some(pairs),
            _ => None,
        }
    }

    /// The entry of the dict behind `value` under the string `key`, if there is one.
    pub(crate) fn entry(&self, value: Value, key: &str) -> Option<Value> {
        let pairs = self.dict(value)?;
        let found = pairs.iter().rev().find(|(k, _)| self.text(*k).is_some_and(|k| &**k == key));
        found.map(|(_, value)| *value)
    }

    /// The tensor behind `value`, if it is one.
    pub(crate) fn tensor(&self, value: Value) -> Option<&Rc<View>> {
        match self.get(value) {
            Some(Object::Tensor(view)) => Some(view),
            _ => None,
        }
    }

    /// All references to storages, in the order of the file.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.0.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// What `value` is, for messages.
    pub(crate) fn kind(&self, value: Value) -> &'static str {
        match value {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) => "a number",
            Value::Global(_) => "a class or function",
            Value::Inert => "an object without weights",
            Value::Object(_) => match self.get(value) {
                Some(Object::Text(_)) => "a string",
                Some(Object::Bytes(_)) => "bytes",
                Some(Object::Array(_)) => "an array of numpy",
                Some(Object::Long(_)) => "a number",
                Some(Object::Tuple(_)) => "a tuple",
                Some(Object::List(_)) => "a list",
                Some(Object::Dict(_)) => "a dict",
                Some(Object::Storage(_)) => "a storage",
                Some(Object::Tensor(_)) => "a tensor",
                None => "nothing",
            },
        }
    }
}
