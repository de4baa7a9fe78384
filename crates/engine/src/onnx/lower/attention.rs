//! Scaled dot-product attention (Vaswani et al. 2017) as one operator, from operator set 23 on.

use super::broadcast::spread;
use super::call::Call;
use super::held::{Held, Pixels};
use super::matrix::{product, transpose};
use super::reshape::renamed;
use super::softmax::of_axes;
use super::writer::Writer;
use crate::error::Result;
use crate::nn::{Function, Pointwise, Softmax};
use crate::onnx::graph::{Constant, Numbers};

/// `[N, heads, L, depth]` of `[N, L, heads * depth]`, or as it is.
fn heads(writer: &mut Writer, call: &Call<'_>, i: usize, name: &str) -> Result<Pixels> {
    let x = &match call.input(i) {
        Some(Held::Known(_)) => writer.constant(&*call.weight(i)?)?,
        _ => call.pixels(i)?.clone(),
    };
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

/// Keys or values with a head for each head of `q`: several heads may share one.
fn shared(writer: &mut Writer, call: &Call<'_>, q: &Pixels, k: &Pixels) -> Result<Pixels> {
    let (heads, [n, own, length, depth]) = (q.sides[1], [0, 1, 2, 3].map(|axis| k.sides[axis]));
    if heads == own {
        return Ok(k.clone());
    }
    if own == 0 || heads % own != 0 {
        let problem = format!("{heads} heads ask {own} heads");
        return Err(call.error(problem, "the file contradicts itself: export it again"));
    }
    let one = renamed(writer, call, k, vec![n, own, 1, length, depth])?;
    let order = one.order.clone();
    let all = writer.expand(&one, &[n, own, heads / own, length, depth], &order)?;
    renamed(writer, call, &all, vec![n, heads, length, depth])
}

pub(super) fn attention(writer: &mut Writer, call: &Call<'_>) -> Result<Vec<Held>> {
    let node = call.node;
    let extra = node.outputs.iter().skip(1).any(|name| !name.is_empty());
    if call.input(4).is_some() || call.input(5).is_some() || extra {
        return Err(call.error("past keys are not supported", "export the network without a cache"));
    }
    let flat = call.pixels(0)?.sides.len() == 3;
    let q = heads(writer, call, 0, "q_num_heads")?;
    let k = heads(writer, call, 1, "kv_num_heads")?;
    let v = heads(writer, call, 2, "kv_num_heads")?;
    let [k, v] = [shared(writer, call, &q, &k)?, shared(writer, call, &q, &v)?];
    let scale = node.float("scale")?.unwrap_or_else(|| 1.0 / (q.sides[3] as f32).sqrt());
    let keys = transpose(&k, &[0, 1, 3, 2]);
    let scores = product(writer, call, &q, &keys)?;
    let mut scores = writer.affine(&scores, Some(&Constant::scalar(scale)), None)?;
    let mask = call.constant(3)?.map(|mask| match &mask.numbers {
        Numbers::Bools(seen) => {
            let hidden = |seen: &bool| if *seen { 0.0 } else { f32::NEG_INFINITY };
            Constant::floats(mask.sides.clone(), seen.iter().map(hidden).collect())
        }
        _ => mask.as_ref().clone(),
    });
    let cap = node.float_or("softcap", 0.0)?;
    if cap != 0.0 {
        scores = writer.affine(&scores, Some(&Constant::scalar(1.0 / cap)), None)?;
        scores = writer.map(&scores, Pointwise(Function::Tanh))?;
        scores = writer.affine(&scores, Some(&Constant::scalar(cap)), None)?;
    }
    let (rows, columns) = (scores.sides[2], scores.sides[3]);
    let causal = node.flag_or("is_causal", false)?.then(|| {
        let hidden = |row: usize, column: usize| if column > row { f32::NEG_INFINITY } else { 0.0 };
        let mask = (0..rows).flat_map(|row| (0..columns).map(move |column| hidden(row, column)));
        Constant::floats([rows, columns], mask.collect())
    });
    for mask in [&mask, &causal].into_iter().flatten() {
        scores = writer.affine(&scores, None, Some(mask))?;
    }
    if blind(&[&mask, &causal], &scores.sides)? {
        return Err(call.error(
            "a query sees no key: what its answer is differs between operator sets",
            "export the network without such a mask",
        ));
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

/// Whether the masks, which are added, leave nothing of some row of scores.
fn blind(masks: &[&Option<Constant>], sides: &[usize]) -> Result<bool> {
    let columns = sides.last().copied().unwrap_or(1);
    let mut total = vec![0.0_f32; sides.iter().product()];
    for mask in masks.iter().copied().flatten() {
        let axes: Vec<usize> = (0..sides.len()).collect();
        total.iter_mut().zip(spread(mask, sides, &axes)?).for_each(|(t, m)| *t += m);
    }
    Ok(total.chunks(columns.max(1)).any(|row| row.iter().all(|m| *m == f32::NEG_INFINITY)))
}
