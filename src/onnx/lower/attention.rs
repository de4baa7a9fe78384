//! Scaled dot-product attention (Vaswani et al. 2017) as one operator, from operator set 23 on.

use super::call::Call;
use super::held::{Held, Pixels};
use super::matrix::{product, transpose};
use super::moving::renamed;
use super::softmax::of_axes;
use super::writer::Writer;
use crate::error::Result;
use crate::nn::Softmax;
use crate::onnx::graph::{Constant, Numbers};

/// `[N, heads, L, depth]` of `[N, L, heads * depth]`, or as it is.
fn heads(writer: &mut Writer, call: &Call<'_>, i: usize, name: &str) -> Result<Pixels> {
    let x = call.pixels(i)?;
    match x.sides[..] {
        [_, _, _, _] => Ok(x.clone()),
        [n, length, width] => {
            let heads = usize::try_from(call.node.int_or(name, 0)?).unwrap_or(0);
            if heads == 0 || width % heads != 0 {
                let problem = format!("attribute {name}: {width} values do not make {heads} heads");
                return Err(call.error(problem, "export the network again"));
            }
            let x = renamed(writer, call, x, vec![n, length, heads, width / heads])?;
            Ok(transpose(&x, &[0, 2, 1, 3]))
        }
        _ => {
            let problem = format!("input {i} has sides {:?}", x.sides);
            Err(call.error(problem, "three or four axes are supported"))
        }
    }
}

pub(super) fn attention(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let node = call.node;
    let extra = node.outputs.iter().skip(1).any(|name| !name.is_empty());
    if call.input(4).is_some() || call.input(5).is_some() || extra {
        return Err(call.error("past keys are not supported", "export the network without a cache"));
    }
    if node.float_or("softcap", 0.0)? != 0.0 {
        return Err(call.error("attribute softcap: is not supported", "export it without"));
    }
    let flat = call.pixels(0)?.sides.len() == 3;
    let q = heads(writer, call, 0, "q_num_heads")?;
    let k = heads(writer, call, 1, "kv_num_heads")?;
    let v = heads(writer, call, 2, "kv_num_heads")?;
    if q.sides[1] != k.sides[1] {
        let problem = format!("{} heads ask {} heads", q.sides[1], k.sides[1]);
        return Err(call.error(problem, "heads that share keys are not supported"));
    }
    let scale = node.float("scale")?.unwrap_or_else(|| 1.0 / (q.sides[3] as f32).sqrt());
    let keys = transpose(&k, &[0, 1, 3, 2]);
    let scores = product(writer, call, &q, &keys)?;
    let mut scores = writer.affine(&scores, Some(&Constant::scalar(scale)), None)?;
    if let Some(mask) = call.constant(3)? {
        let mask = match &mask.numbers {
            Numbers::Bools(seen) => {
                let hidden = |seen: &bool| if *seen { 0.0 } else { f32::NEG_INFINITY };
                Constant::floats(mask.sides.clone(), seen.iter().map(hidden).collect())
            }
            _ => mask.as_ref().clone(),
        };
        scores = writer.affine(&scores, None, Some(&mask))?;
    }
    if node.flag_or("is_causal", false)? {
        let (rows, columns) = (scores.sides[2], scores.sides[3]);
        let hidden = |row: usize, column: usize| if column > row { f32::NEG_INFINITY } else { 0.0 };
        let mask = (0..rows).flat_map(|row| (0..columns).map(move |column| hidden(row, column)));
        let mask = Constant::floats([rows, columns], mask.collect());
        scores = writer.affine(&scores, None, Some(&mask))?;
    }
    call.apart(&scores, &[3])?;
    let weights = of_axes(writer, &scores, &[3], Softmax)?;
    let mut out = product(writer, call, &weights, &v)?;
    if flat {
        out = transpose(&out, &[0, 2, 1, 3]);
        let [n, length, heads, depth] = [0, 1, 2, 3].map(|axis| out.sides[axis]);
        out = renamed(writer, call, &out, vec![n, length, heads * depth])?;
    }
    Ok(vec![out.into()])
}
