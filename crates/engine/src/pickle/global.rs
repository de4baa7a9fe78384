//! The names a checkpoint may mention, and what each stands for here. A pickle is a small program
//! that calls functions by name; of all the names in the world this module knows a short list, gives
//! each a meaning as plain data, and refuses the rest. Nothing on either list is ever executed.

use std::rc::Rc;

use super::dtype::DType;
use super::file_part::quoted;
use super::tensor::View;
use super::value::{Heap, Object, Value};

/// A whitelisted name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch.Size`.
    Size,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`, which differ only in what follows
    /// the first four arguments.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter` and its relatives.
    RebuildParameter,
    /// `_codecs.encode`, by which Python 3 writes bytes in protocol 2: the text of their values.
    Encode,
    /// `numpy.core.multiarray._reconstruct`, which makes an array without contents.
    NumpyArray,
    /// A storage class such as `torch.FloatStorage`.
    Storage(DType),
    /// A class or function that training scripts leave beside the weights. Calls to it produce
    /// [`Value::Inert`].
    Inert,
}

/// The present name of `module`: pickles of protocol 2 use the names of Python 2.
pub(crate) fn present(module: &str) -> &str {
    match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        other => other,
    }
}

/// The meaning of `module.name`, if it is on the list.
pub(crate) fn resolve(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("_codecs", "encode") => Global::Encode,
        ("torch", "Size") => Global::Size,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
        | ("torch.nn.parameter", "Parameter") => Global::RebuildParameter,
        ("torch", "FloatStorage") => Global::Storage(DType::F32),
        ("torch", "DoubleStorage") => Global::Storage(DType::F64),
        ("torch", "HalfStorage") => Global::Storage(DType::F16),
        ("torch", "BFloat16Storage") => Global::Storage(DType::BF16),
        ("torch", "LongStorage") => Global::Storage(DType::I64),
        ("torch", "IntStorage") => Global::Storage(DType::I32),
        ("torch", "ShortStorage") => Global::Storage(DType::I16),
        ("torch", "CharStorage") => Global::Storage(DType::I8),
        ("torch", "ByteStorage") => Global::Storage(DType::U8),
        ("torch", "BoolStorage") => Global::Storage(DType::Bool),
        ("torch", "device" | "dtype")
        | (
            "torch",
            "float32" | "float64" | "float16" | "bfloat16" | "int64" | "int32" | "int16" | "int8"
            | "uint8" | "bool",
        )
        | ("collections", "defaultdict" | "Counter" | "deque")
        | ("argparse", "Namespace")
        | ("builtins", "set" | "frozenset" | "complex" | "slice" | "range")
        | ("builtins", "int" | "float" | "str" | "bool" | "list" | "dict")
        | ("numpy", "dtype" | "ndarray" | "float64" | "float32" | "int64" | "bool_")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_frombuffer") => {
            Global::Inert
        }
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::NumpyArray,
        _ => return None,
    })
}

/// Whether a checkpoint that names `module` wants something done to the machine, as opposed to
/// holding an object of a class unknown here. Decides the words of the message only: both are
/// refused.
pub(crate) fn is_hostile(module: &str) -> bool {
    let root = module.split('.').next().unwrap_or(module);
    matches!(
        root,
        "posix"
            | "nt"
            | "os"
            | "sys"
            | "subprocess"
            | "builtins"
            | "shutil"
            | "socket"
            | "pty"
            | "runpy"
            | "importlib"
            | "imp"
            | "ctypes"
            | "pickle"
            | "_pickle"
            | "marshal"
            | "code"
            | "types"
            | "operator"
            | "_operator"
            | "functools"
            | "webbrowser"
            | "urllib"
            | "requests"
            | "commands"
            | "platform"
            | "timeit"
            | "multiprocessing"
            | "asyncio"
            | "tempfile"
            | "pip"
    )
}

/// What the call `global(*arguments)` means, or what is wrong with it.
pub(crate) fn call(heap: &mut Heap, global: Global, arguments: Value) -> Result<Value, String> {
    let items = heap.tuple(arguments).ok_or("a call without an argument tuple")?;
    match global {
        Global::Inert => Ok(Value::Inert),
        Global::Encode => match latin(heap, items) {
            Some(bytes) => {
                heap.add(Object::Bytes(bytes)).ok_or_else(|| "too many objects".to_owned())
            }
            // Text of another encoding is no number of a weight.
            None => Ok(Value::Inert),
        },
        Global::NumpyArray => {
            heap.add(Object::Array(None)).ok_or_else(|| "too many objects".to_owned())
        }
        Global::OrderedDict if items.is_empty() => {
            heap.add(Object::Dict(Vec::new())).ok_or_else(|| "too many objects".to_owned())
        }
        Global::OrderedDict => Err("an OrderedDict made from arguments".to_owned()),
        Global::Size => match items {
            [size] if heap.tuple(*size).is_some() => Ok(*size),
            _ => Err("a torch.Size that is not made from a tuple".to_owned()),
        },
        Global::RebuildTensor => {
            let view = View::from_arguments(heap, items)?;
            heap.add(Object::Tensor(Rc::new(view))).ok_or_else(|| "too many objects".to_owned())
        }
        Global::RebuildParameter => match items {
            [tensor, ..] if heap.tensor(*tensor).is_some() => Ok(*tensor),
            _ => Err("a parameter that is not made from a tensor".to_owned()),
        },
        Global::Storage(_) => Err("a storage class that is called".to_owned()),
    }
}

/// The bytes that a text of the characters 0 to 255 stands for, if it is said to be encoded so.
fn latin(heap: &Heap, arguments: &[Value]) -> Option<Vec<u8>> {
    let [text, encoding] = arguments else { return None };
    matches!(&**heap.text(*encoding)?, "latin1" | "latin-1" | "iso-8859-1").then_some(())?;
    heap.text(*text)?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The message and remedy for a name that is not on the list.
pub(crate) fn refusal(module: &str, name: &str) -> (String, String) {
    let global = quoted(&format!("{module}.{name}"));
    if is_hostile(module) {
        (
            format!(
                "asks Python to call {global}, as malicious files do; it is refused and nothing \
                 was executed"
            ),
            "do not open this file with torch.load; get the weights from a source you trust, best \
             as safetensors"
                .into(),
        )
    } else {
        (
            format!(
                "needs the Python object {global}, which is not one of the parts of a tensor; it \
                 is refused and nothing was executed"
            ),
            "if you trust the file, load it in Python and save the weights alone: \
             torch.save(model.state_dict(), \"weights.pt\")"
                .into(),
        )
    }
}
