//! The operators that may depend on the image, a line each: how many inputs they take, which attributes they
//! have, and the function that writes them down.

use super::call::Call;
use super::held::Held;
use super::writer::Writer;
use super::{
    arithmetic, attention, conv, matrix, moving, norm, pointwise, pool, reduce, reshape, resize,
    softmax, truth,
};
use crate::error::Result;

/// Adds the steps of a node; gives what its outputs stand for.
type Write = fn(&mut Writer, &Call<'_>) -> Result<Vec<Held>>;

/// An operator.
pub(super) struct Operator {
    pub(super) name: &'static str,
    /// Fewest and most inputs.
    inputs: [usize; 2],
    attributes: &'static [&'static str],
    pub(super) write: Write,
}

impl Operator {
    /// Refuses what the definition of the operator does not allow.
    pub(super) fn fits(&self, call: &Call<'_>) -> Result<()> {
        let ([least, most], given) = (self.inputs, call.inputs.len());
        if given < least || given > most {
            let wanted = match (least == most, most) {
                (true, _) => format!("{least}"),
                (_, usize::MAX) => format!("at least {least}"),
                _ => format!("{least} to {most}"),
            };
            let problem = format!("{given} inputs where {wanted} are allowed");
            return Err(call.error(problem, "export the network again"));
        }
        call.node.known(self.attributes)
    }
}

const fn operator(
    name: &'static str,
    inputs: [usize; 2],
    attributes: &'static [&'static str],
    write: Write,
) -> Operator {
    Operator { name, inputs, attributes, write }
}

/// Any number.
const ANY: usize = usize::MAX;

const WINDOWS: &[&str] =
    &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const NONE: &[&str] = &[];

pub(super) const OPERATORS: &[Operator] = &[
    operator("Abs", [1, 1], NONE, pointwise::abs),
    operator("Add", [2, 2], NONE, arithmetic::add),
    operator("And", [2, 2], NONE, truth::and),
    operator(
        "Attention",
        [3, 6],
        &[
            "is_causal",
            "kv_num_heads",
            "q_num_heads",
            "qk_matmul_output_mode",
            "scale",
            "softcap",
            "softmax_precision",
        ],
        attention::attention,
    ),
    operator(
        "AveragePool",
        [1, 1],
        &[
            "auto_pad",
            "ceil_mode",
            "count_include_pad",
            "dilations",
            "kernel_shape",
            "pads",
            "strides",
        ],
        pool::average,
    ),
    operator(
        "BatchNormalization",
        [5, 5],
        &["consumed_inputs", "epsilon", "is_test", "momentum", "spatial", "training_mode"],
        norm::batch,
    ),
    operator("Cast", [1, 1], &["round_mode", "saturate", "to"], moving::cast),
    operator("CastLike", [2, 2], &["round_mode", "saturate"], moving::cast_like),
    operator("Ceil", [1, 1], NONE, pointwise::ceil),
    operator("Celu", [1, 1], &["alpha"], pointwise::celu),
    operator("Clip", [1, 3], &["max", "min"], pointwise::clip),
    operator("Concat", [1, ANY], &["axis"], moving::concat),
    operator("Conv", [2, 3], CONV, conv::conv),
    operator(
        "ConvTranspose",
        [2, 3],
        &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "output_padding",
            "output_shape",
            "pads",
            "strides",
        ],
        conv::transposed,
    ),
    operator("Cos", [1, 1], NONE, pointwise::cos),
    operator("DepthToSpace", [1, 1], &["blocksize", "mode"], resize::depth_to_space),
    operator("Div", [2, 2], NONE, arithmetic::div),
    operator("Dropout", [1, 3], &["is_test", "ratio", "seed"], moving::dropout),
    operator("Einsum", [1, 2], &["equation"], matrix::einsum),
    operator("Elu", [1, 1], &["alpha"], pointwise::elu),
    operator("Erf", [1, 1], NONE, pointwise::erf),
    operator("Exp", [1, 1], NONE, pointwise::exp),
    operator("Expand", [2, 2], NONE, reshape::expand),
    operator("Flatten", [1, 1], &["axis"], reshape::flatten),
    operator("Floor", [1, 1], NONE, pointwise::floor),
    operator("Gather", [2, 2], &["axis"], moving::gather),
    operator("Gelu", [1, 1], &["approximate"], pointwise::gelu),
    operator("Gemm", [2, 3], &["alpha", "beta", "transA", "transB"], matrix::gemm),
    operator("GlobalAveragePool", [1, 1], NONE, pool::global_average),
    operator("GlobalMaxPool", [1, 1], NONE, pool::global_maximum),
    operator("Greater", [2, 2], NONE, truth::greater),
    operator("GreaterOrEqual", [2, 2], NONE, truth::greater_or_equal),
    operator("GroupNormalization", [3, 3], &["epsilon", "num_groups", "stash_type"], norm::group),
    operator("HardSigmoid", [1, 1], &["alpha", "beta"], pointwise::hard_sigmoid),
    operator("HardSwish", [1, 1], NONE, pointwise::hard_swish),
    operator("Identity", [1, 1], NONE, moving::identity),
    operator("InstanceNormalization", [3, 3], &["epsilon"], norm::instance),
    operator("LRN", [1, 1], &["alpha", "beta", "bias", "size"], norm::local_response),
    operator("LayerNormalization", [2, 3], &["axis", "epsilon", "stash_type"], norm::layer),
    operator("LeakyRelu", [1, 1], &["alpha"], pointwise::leaky_relu),
    operator("Less", [2, 2], NONE, truth::less),
    operator("LessOrEqual", [2, 2], NONE, truth::less_or_equal),
    operator("Log", [1, 1], NONE, pointwise::log),
    operator("LogSoftmax", [1, 1], &["axis"], softmax::log_softmax),
    operator("LpNormalization", [1, 1], &["axis", "p"], norm::length),
    operator(
        "LpPool",
        [1, 1],
        &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"],
        pool::power,
    ),
    operator("MatMul", [2, 2], NONE, matrix::mat_mul),
    operator("Max", [1, ANY], NONE, arithmetic::max),
    operator("MaxPool", [1, 1], WINDOWS, pool::maximum),
    operator("Mean", [1, ANY], NONE, arithmetic::mean),
    operator("MeanVarianceNormalization", [1, 1], &["axes"], norm::mean_variance),
    operator("Min", [1, ANY], NONE, arithmetic::min),
    operator("Mish", [1, 1], NONE, pointwise::mish),
    operator("Mul", [2, 2], NONE, arithmetic::mul),
    operator("Neg", [1, 1], NONE, pointwise::neg),
    operator("Not", [1, 1], NONE, truth::not),
    operator("Or", [2, 2], NONE, truth::or),
    operator("PRelu", [2, 2], NONE, arithmetic::p_relu),
    operator("Pad", [1, 4], &["mode", "pads", "value"], moving::pad),
    operator("Pow", [2, 2], NONE, arithmetic::pow),
    operator(
        "RMSNormalization",
        [2, 2],
        &["axis", "epsilon", "stash_type"],
        norm::root_mean_square,
    ),
    operator("Reciprocal", [1, 1], NONE, pointwise::reciprocal),
    operator("ReduceL1", [1, 2], REDUCE, reduce::l1),
    operator("ReduceL2", [1, 2], REDUCE, reduce::l2),
    operator("ReduceLogSum", [1, 2], REDUCE, reduce::log_sum),
    operator("ReduceLogSumExp", [1, 2], REDUCE, reduce::log_sum_exp),
    operator("ReduceMax", [1, 2], REDUCE, reduce::max),
    operator("ReduceMean", [1, 2], REDUCE, reduce::mean),
    operator("ReduceMin", [1, 2], REDUCE, reduce::min),
    operator("ReduceProd", [1, 2], REDUCE, reduce::product),
    operator("ReduceSum", [1, 2], REDUCE, reduce::sum),
    operator("ReduceSumSquare", [1, 2], REDUCE, reduce::sum_square),
    operator("Relu", [1, 1], NONE, pointwise::relu),
    operator("Reshape", [1, 2], &["allowzero", "shape"], reshape::reshape),
    operator(
        "Resize",
        [1, 4],
        &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ],
        resize::resize,
    ),
    operator("Round", [1, 1], NONE, pointwise::round),
    operator("Selu", [1, 1], &["alpha", "gamma"], pointwise::selu),
    operator("Shape", [1, 1], &["end", "start"], reshape::shape),
    operator("Sigmoid", [1, 1], NONE, pointwise::sigmoid),
    operator("Sign", [1, 1], NONE, pointwise::sign),
    operator("Sin", [1, 1], NONE, pointwise::sin),
    operator("Size", [1, 1], NONE, reshape::size),
    operator("Slice", [1, 5], &["axes", "ends", "starts"], moving::slice),
    operator("Softmax", [1, 1], &["axis"], softmax::softmax),
    operator("Softplus", [1, 1], NONE, pointwise::softplus),
    operator("Softsign", [1, 1], NONE, pointwise::softsign),
    operator("SpaceToDepth", [1, 1], &["blocksize", "mode"], resize::space_to_depth),
    operator("Split", [1, 2], &["axis", "num_outputs", "split"], moving::split),
    operator("Sqrt", [1, 1], NONE, pointwise::sqrt),
    operator("Squeeze", [1, 2], &["axes"], reshape::squeeze),
    operator("Sub", [2, 2], NONE, arithmetic::sub),
    operator("Sum", [1, ANY], NONE, arithmetic::sum),
    operator("Swish", [1, 1], &["alpha"], pointwise::swish),
    operator("Tanh", [1, 1], NONE, pointwise::tanh),
    operator("ThresholdedRelu", [1, 1], &["alpha"], pointwise::thresholded_relu),
    operator("Tile", [2, 2], NONE, reshape::tile),
    operator("Transpose", [1, 1], &["perm"], reshape::transpose),
    operator("Unsqueeze", [1, 2], &["axes"], reshape::unsqueeze),
    operator("Upsample", [1, 2], &["mode", "scales"], resize::upsample),
    operator("Where", [3, 3], NONE, truth::choose),
];

/// Why an operator is not on the list.
pub(super) fn refusal(name: &str) -> String {
    let operator = name.rsplit('.').next().unwrap_or(name);
    let is = |names: &[&str]| names.contains(&operator);
    let reason = if operator.starts_with("Random") || is(&["Bernoulli", "Multinomial"]) {
        "the network is random: its gradients and certificates would be too"
    } else if operator.to_lowercase().contains("quantize")
        || operator.starts_with("QLinear")
        || operator.ends_with("Integer")
    {
        "a quantised network has no gradient: export it in floating point"
    } else if is(&["Loop", "Scan", "SequenceMap"]) {
        "control flow is not supported: export the network with its loops unrolled"
    } else if is(&["ArgMax", "ArgMin", "TopK", "Hardmax", "OneHot"]) {
        "class numbers have no gradient: export the network up to its logits"
    } else if is(&["NonMaxSuppression", "RoiAlign", "MaxRoiPool"]) {
        "this is a detector, not a classifier"
    } else if is(&["RNN", "LSTM", "GRU"]) {
        "recurrent networks are not supported"
    } else if name.contains('.') {
        "operators of other domains are not supported: export the network with standard ones"
    } else if is(&["NonZero", "Unique", "Compress"]) {
        "its shape depends on the pixels"
    } else {
        "export the network with other operators, or ask for this one"
    };
    reason.into()
}
