//! The input normalisations of published networks, where the file does not hold them: mean and
//! standard deviation per channel of [0, 1] pixels.

/// Mean and standard deviation per channel.
pub(super) type Constants = (&'static [f64], &'static [f64]);

/// CIFAR-10, over all pixels of the training images.
pub(super) const CIFAR10: Constants = (&[0.4914, 0.4822, 0.4465], &[0.2471, 0.2435, 0.2616]);

/// CIFAR-10 with the mean of the images' standard deviations, as in randomised smoothing.
pub(super) const CIFAR10_MEAN_STD: Constants =
    (&[0.4914, 0.4822, 0.4465], &[0.2023, 0.1994, 0.2010]);

/// CIFAR-100.
pub(super) const CIFAR100: Constants = (&[0.5071, 0.4865, 0.4409], &[0.2673, 0.2564, 0.2762]);

/// ImageNet.
pub(super) const IMAGENET: Constants = (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);

/// What the networks of a form subtract and divide by that were trained on another data set: those
/// for CIFAR-10 take the constants of CIFAR-100 when they have 100 classes.
pub(super) fn for_classes(constants: Constants, classes: usize) -> Constants {
    if constants == CIFAR10 && classes == 100 { CIFAR100 } else { constants }
}
