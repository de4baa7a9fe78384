//! The restricted pickle machine: it runs the stack program inside a checkpoint far enough to see
//! which tensors it describes. It builds plain data only. A name outside the list of
//! [`global`] ends the reading before anything that follows it is looked at, and
//! memory is bounded by limits that no network comes near.
//!
//! The instructions are those that `torch.save` writes with pickle protocols 2 to 5 (Python's
//! `pickletools` documents each); the textual ones of protocols 0 and 1 are refused.

use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;

use super::file_part::DOWNLOAD_AGAIN;
use super::global;
use super::source::Source;
use super::tensor::Storage;
use super::value::{Array, Heap, Object, Value};
use crate::error::{Error, Result};

/// The most instructions a pickle may have; a checkpoint has some thirty per tensor.
const STEPS: u64 = 1 << 25;
/// The most values on the stack, open groups, and entries of the memo.
const STACK: usize = 1 << 22;
/// What to do about a pickle that is not one of `torch.save`.
const SAVE_AGAIN: &str =
    "save the weights again in a current PyTorch: torch.save(model.state_dict(), \"weights.pt\")";

/// Reads one pickle up to its end and leaves `source` behind it: the objects, and which is the
/// result.
///
/// # Errors
/// If the pickle is damaged, names anything outside the list, or exceeds a limit.
pub fn read<R: Read>(source: &mut Source<R>) -> Result<(Heap, Value)> {
    let mut machine = Machine {
        source,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        heap: Heap::default(),
    };
    let mut steps = 0;
    loop {
        if let Some(result) = machine.step()? {
            return Ok((machine.heap, result));
        }
        steps += 1;
        let largest = machine.stack.len().max(machine.marks.len()).max(machine.memo.len());
        if steps > STEPS || largest > STACK {
            return Err(machine.fail("is larger than any checkpoint", SAVE_AGAIN));
        }
    }
}

struct Machine<'s, R> {
    source: &'s mut Source<R>,
    stack: Vec<Value>,
    /// Stack heights at which the open groups of items start.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    heap: Heap,
}

impl<R: Read> Machine<'_, R> {
    fn fail(&self, problem: impl Into<String>, remedy: &str) -> Error {
        self.source.place.error_at(self.source.position(), problem, remedy)
    }

    fn damaged(&self, problem: &str) -> Error {
        self.fail(format!("the pickle is damaged: {problem}"), DOWNLOAD_AGAIN)
    }

    /// Executes one instruction; the result of the pickle at its end.
    fn step(&mut self) -> Result<Option<Value>> {
        let code = self.source.byte()?;
        match code {
            b'.' => return self.pop().map(Some),
            // Protocol number and frame length carry nothing that a reader of bytes needs.
            0x80 => drop(self.source.byte()?),
            0x95 => drop(self.source.array::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.group()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'J' | b'K' | b'M' | 0x8a | 0x8b => self.integer(code)?,
            b'G' => {
                self.source.array::<8>()?;
                self.stack.push(Value::Inert);
            }
            b'X' | 0x8c | 0x8d | b'U' | b'T' => self.text(code)?,
            b'B' | b'C' | 0x8e => {
                let length = self.length(code)?;
                let bytes = self.source.bytes(length)?;
                self.push(Object::Bytes(bytes))?;
            }
            b')' => self.push(Object::Tuple(Vec::new()))?,
            b't' => {
                let items = self.group()?;
                self.push(Object::Tuple(items))?;
            }
            0x85..=0x87 => {
                let mut items = vec![Value::None; usize::from(code - 0x84)];
                for slot in items.iter_mut().rev() {
                    *slot = self.pop()?;
                }
                self.push(Object::Tuple(items))?;
            }
            b']' => self.push(Object::List(Vec::new()))?,
            b'l' => {
                let items = self.group()?;
                self.push(Object::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.group()?;
                self.append(items)?;
            }
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b'd' => {
                let items = self.group()?;
                self.push(Object::Dict(Vec::new()))?;
                self.insert(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.group()?;
                self.insert(&items)?;
            }
            0x8f => self.stack.push(Value::Inert),
            0x90 => {
                self.group()?;
                if self.top()? != Value::Inert {
                    return Err(self.damaged("items added to what is no set"));
                }
            }
            0x91 => {
                self.group()?;
                self.stack.push(Value::Inert);
            }
            b'c' => {
                let module = self.source.line()?;
                let name = self.source.line()?;
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.heap.text(module), self.heap.text(name))
                else {
                    return Err(self.damaged("a name that is no string"));
                };
                let (module, name) = (Rc::clone(module), Rc::clone(name));
                self.global(&module, &name)?;
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.call(callee, arguments)?;
            }
            0x92 => {
                let (_keywords, arguments, callee) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callee, arguments)?;
            }
            // The state of an object: for a state dict its `_metadata`, which holds no weights; for an
            // array of numpy all of it.
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                let contents = Array::from_state(&self.heap, state);
                if let Some(Object::Array(array)) = self.heap.get_mut(target) {
                    *array = contents;
                }
            }
            b'Q' => {
                let reference = self.pop()?;
                let storage = Storage::from_reference(&self.heap, reference)
                    .map_err(|problem| self.fail(problem, SAVE_AGAIN))?;
                self.push(Object::Storage(storage))?;
            }
            b'q' => {
                let slot = self.source.byte()?;
                self.memoise(slot.into())?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.source.array()?);
                self.memoise(slot)?;
            }
            0x94 => {
                let slot = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                self.memoise(slot)?;
            }
            b'h' => {
                let slot = self.source.byte()?;
                self.recall(slot.into())?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.source.array()?);
                self.recall(slot)?;
            }
            _ => {
                let problem = format!(
                    "holds the pickle instruction {code:#04x}, which torch.save \
                    does not write"
                );
                return Err(self.fail(problem, SAVE_AGAIN));
            }
        }
        Ok(None)
    }

    /// The start of the innermost open group: nothing below it may be touched.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value> {
        match self.stack.pop() {
            Some(value) if self.stack.len() >= self.floor() => Ok(value),
            _ => Err(self.damaged("an instruction finds no value")),
        }
    }

    fn top(&self) -> Result<Value> {
        match self.stack.last() {
            Some(value) if self.stack.len() > self.floor() => Ok(*value),
            _ => Err(self.damaged("an instruction finds no value")),
        }
    }

    /// Takes the items of the innermost group off the stack.
    fn group(&mut self) -> Result<Vec<Value>> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(self.damaged("a group of items has no start")),
        }
    }

    fn push(&mut self, object: Object) -> Result<()> {
        match self.heap.add(object) {
            Some(value) => {
                self.stack.push(value);
                Ok(())
            }
            None => Err(self.fail("is larger than any checkpoint", SAVE_AGAIN)),
        }
    }

    fn integer(&mut self, code: u8) -> Result<()> {
        let value = match code {
            b'J' => i64::from(i32::from_le_bytes(self.source.array()?)),
            b'K' => i64::from(self.source.byte()?),
            b'M' => i64::from(u16::from_le_bytes(self.source.array()?)),
            _ => {
                let length = match code {
                    0x8a => u64::from(self.source.byte()?),
                    _ => u64::from(u32::from_le_bytes(self.source.array()?)),
                };
                let digits = self.source.bytes(length)?;
                if digits.len() > 8 {
                    return self.push(Object::Long(digits));
                }
                let sign = if digits.last().is_some_and(|d| *d > 0x7f) { 0xff } else { 0 };
                let mut bytes = [sign; 8];
                bytes[..digits.len()].copy_from_slice(&digits);
                i64::from_le_bytes(bytes)
            }
        };
        self.stack.push(Value::Int(value));
        Ok(())
    }

    /// The length in front of a string or of bytes.
    fn length(&mut self, code: u8) -> Result<u64> {
        Ok(match code {
            0x8c | b'U' | b'C' => u64::from(self.source.byte()?),
            0x8d | 0x8e => u64::from_le_bytes(self.source.array()?),
            _ => u64::from(u32::from_le_bytes(self.source.array()?)),
        })
    }

    fn text(&mut self, code: u8) -> Result<()> {
        let length = self.length(code)?;
        let bytes = self.source.bytes(length)?;
        match String::from_utf8(bytes) {
            Ok(text) => self.push(Object::Text(text.into())),
            // Python 2 wrote its byte strings, numpy's raw numbers among them, as strings.
            Err(error) if matches!(code, b'U' | b'T') => {
                self.push(Object::Bytes(error.into_bytes()))
            }
            Err(_) => Err(self.damaged("a string is not UTF-8")),
        }
    }

    fn append(&mut self, items: Vec<Value>) -> Result<()> {
        let target = self.top()?;
        match self.heap.get_mut(target) {
            Some(Object::List(list)) => list.extend(items),
            _ if target == Value::Inert => {}
            _ => return Err(self.damaged("items appended to what is no list")),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Value]) -> Result<()> {
        let target = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.heap.get_mut(target) {
            _ if !rest.is_empty() => return Err(self.damaged("a key without a value")),
            Some(Object::Dict(dict)) => {
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)))
            }
            _ if target == Value::Inert => {}
            _ => return Err(self.damaged("entries set in what is no dict")),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let module = global::present(module);
        match global::resolve(module, name) {
            Some(global) => {
                self.stack.push(Value::Global(global));
                Ok(())
            }
            None => {
                let (problem, remedy) = global::refusal(module, name);
                Err(self.fail(problem, &remedy))
            }
        }
    }

    fn call(&mut self, callee: Value, arguments: Value) -> Result<()> {
        let Value::Global(global) = callee else {
            let problem = format!("calls {}", self.heap.kind(callee));
            return Err(self.damaged(&problem));
        };
        let result = global::call(&mut self.heap, global, arguments)
            .map_err(|problem| self.fail(format!("holds {problem}"), SAVE_AGAIN))?;
        self.stack.push(result);
        Ok(())
    }

    fn memoise(&mut self, slot: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<()> {
        match self.memo.get(&slot) {
            Some(value) => {
                self.stack.push(*value);
                Ok(())
            }
            None => Err(self.damaged(&format!("memo slot {slot} is empty"))),
        }
    }
}
