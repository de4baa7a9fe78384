// The kernels of all layers; included once for each type of activations.
#include "../../kernels/affine.cu"
#include "../../kernels/attention.cu"
#include "../../kernels/conv.cu"
#include "../../kernels/layout.cu"
#include "../../kernels/map.cu"
#include "../../kernels/pair.cu"
#include "../../kernels/pool.cu"
#include "../../kernels/row.cu"
