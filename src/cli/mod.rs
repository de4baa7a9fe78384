//! The command line. Each subcommand is a file: its arguments, resolved into settings, and one call
//! of the library. Results go to stdout, everything else to stderr, and both through `output`.

mod attack;
mod audit;
mod certify;
mod cite;
mod compare;
mod completions;
mod convert;
mod corruptions;
mod data;
mod doctor;
mod evaluate;
mod figures;
mod inspect;
mod interrupt;
mod leaderboard;
mod list;
mod model;
mod onnx;
mod output;
mod pace;
mod progress;
mod run;
mod service;
mod show;
mod suite;
mod sweep;
mod target;
mod train;
mod verify;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::output::{Ended, Failure, Quiet};
use crate::error::{Error, Result};

/// Exit codes. Clap itself uses [`exit::INPUT`] for arguments it cannot read.
pub mod exit {
    /// Everything that was asked for is done, and on the disk.
    pub const OK: u8 = 0;
    /// The run ended, but some of its jobs failed; they are listed.
    pub const JOBS_FAILED: u8 = 1;
    /// What was looked at contradicts what is claimed of it: an audit found it in a table, or a
    /// verification in a run, or adversarial images lie outside their threat model.
    pub const CONTRADICTED: u8 = 1;
    /// An argument, a suite or a file cannot be used; nothing was computed.
    pub const INPUT: u8 = 2;
    /// Something failed after work had begun, other than a job: results could not be written or shown.
    pub const FAILED: u8 = 3;
    /// Stopped by Ctrl-C; the same command resumes.
    pub const INTERRUPTED: u8 = 130;
    /// The reader of stdout went away before everything was shown (128 + SIGPIPE, as shells have it).
    pub const PIPE: u8 = 141;
}

/// Adversarial robustness benchmark: attacks, patches and certificates on one leaderboard.
#[derive(Debug, Parser)]
#[command(name = "epsball", version, about, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 some jobs failed, or an audit or a verification found a \
contradiction, 2 bad input and nothing was computed, 3 results could not be written or shown, 130 interrupted (the same \
command resumes), 141 nobody reads stdout any more."
)]
struct Cli {
    /// Threads to compute with; results do not depend on it
    #[arg(long, global = true, value_name = "N", env = "EPSBALL_THREADS")]
    threads: Option<usize>,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Log on stderr what is done inside; EPSBALL_LOG chooses parts
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a benchmark suite (the bundled one if none is named) and write its leaderboard
    Run(run::Args),
    /// Print a suite with every field that there is
    Suite(suite::Args),
    /// Run a suite by many processes, on this machine or on a cluster (Slurm, HyperQueue)
    Sweep(sweep::Args),
    /// Measure clean accuracy alone, class by class
    Evaluate(evaluate::Args),
    /// Attack one model, with one attack or several
    Attack(attack::Args),
    /// Certify one model: randomized smoothing, or proofs against patches
    Certify(certify::Args),
    /// Measure clean accuracy under common corruptions (CIFAR-C, ImageNet-C)
    Corruptions(corruptions::Args),
    /// Make leaderboards of finished runs
    Leaderboard(leaderboard::Args),
    /// Write the figures of finished runs for a paper: SVG, PDF or PNG
    Figures(figures::Args),
    /// Print BibTeX of everything that runs used
    Cite(cite::Args),
    /// Look at adversarial images of a run: a page with the closest, the median and the hardest
    Show(show::Args),
    /// Compare two methods on the same images: McNemar's test, Holm, paired bootstrap
    Compare(compare::Args),
    /// Check whether tables of certificates can be what they claim to be
    Audit(audit::Args),
    /// Check whether runs are what they claim to be, or judge adversarial images that somebody else made
    Verify(verify::Args),
    /// Turn a PyTorch checkpoint or plain weights into a model file
    Convert(convert::Args),
    /// Show what a model file or checkpoint holds
    Inspect(inspect::Args),
    /// List attacks, certificates, architectures, data formats or bundled models
    List(list::Args),
    /// The usual data sets and how to get them
    Data(data::Args),
    /// Show what this machine can do, and try the CPU and every GPU
    Doctor(doctor::Args),
    /// Train a small network: standard, PGD, TRADES or with Gaussian noise
    Train(train::Args),
    /// Print what a shell completes commands with
    Completions(completions::Args),
    /// Print the manual page, or write those of all subcommands
    Man(completions::ManArgs),
}

/// Parses the command line of this process and runs it.
pub fn main() -> ExitCode {
    main_of(std::env::args_os().collect()).into()
}

/// Runs a command line, the name of the program first, for a process whose own arguments are others, such as
/// one of Python; returns the [exit code](exit).
pub fn main_of(arguments: Vec<OsString>) -> u8 {
    std::panic::set_hook(Box::new(|info| {
        output::insist(format_args!(
            "{info}\nThis is a bug in epsball; please report it with the command."
        ));
    }));
    crate::bench::say_command(&arguments);
    let cli = match read(arguments) {
        Ok(cli) => cli,
        Err(error) => return told(&error),
    };
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        (false, true) => "debug",
        (false, false) => "warn",
    };
    tracing_subscriber::fmt()
        .with_writer(|| Quiet)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .without_time()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("EPSBALL_LOG")
                .unwrap_or_else(|_| level.into()),
        )
        // A process that hosts this one may have a subscriber already, who hears of it then.
        .try_init()
        .ok();
    dispatch(cli).unwrap_or_else(|failure| failure.report())
}

/// Runs a command line as part of another program: what cannot be read or done is an error, and warnings go to
/// whoever listens already. Returns the [exit code](exit).
///
/// # Errors
/// If the arguments cannot be read, or the command fails.
pub fn run_inside(arguments: Vec<OsString>) -> Result<u8> {
    let unread = |error: clap::Error| {
        let text = error.render().to_string();
        let text = text.trim().trim_start_matches("error: ").to_owned();
        Error::setting("arguments", text, "see `epsball help`")
    };
    dispatch(read(arguments).map_err(unread)?).map_err(Error::from)
}

/// The help of a command: examples come before its options.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}";

/// The command line. A negative number is a value, about which the command has its own words, and never the
/// name of an option.
fn read(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&described().try_get_matches_from(arguments)?)
}

/// The program, its commands and their arguments.
fn described() -> clap::Command {
    let negative = |argument: clap::Arg| match argument.get_action().takes_values() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    };
    Cli::command()
        .mut_args(negative)
        .mut_subcommands(|subcommand| subcommand.mut_args(negative).help_template(TEMPLATE))
}

/// Tells what a command line comes to that is none: a mistake, on stderr, or a text that was asked for, on stdout.
/// Returns the exit code.
fn told(error: &clap::Error) -> u8 {
    let written = error.print().and_then(|()| std::io::stdout().flush());
    match written {
        _ if error.use_stderr() => exit::INPUT,
        Ok(()) => exit::OK,
        Err(error) => Failure::Stdout(error).report(),
    }
}

/// More threads than any machine has processors would only be a mistake that takes all memory.
const MOST_THREADS: usize = 4096;

fn dispatch(cli: Cli) -> Ended {
    if cli.quiet {
        output::be_quiet();
    }
    if let Some(threads) = cli.threads {
        let failed = |e: String| Error::setting("threads", e, "give a number of at least 1");
        if threads == 0 {
            return Err(failed("0 threads compute nothing".into()).into());
        }
        if threads > MOST_THREADS {
            let problem = format!("{threads} are more than the {MOST_THREADS} that are supported");
            let remedy = "give as many as the machine has processors";
            return Err(Error::setting("threads", problem, remedy).into());
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|e| failed(e.to_string()))?;
    }
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Suite(args) => suite::run(&args),
        Command::Sweep(args) => sweep::run(&args, cli.threads),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Attack(args) => attack::run(&args),
        Command::Certify(args) => certify::run(&args),
        Command::Corruptions(args) => corruptions::run(&args),
        Command::Leaderboard(args) => leaderboard::run(&args),
        Command::Figures(args) => figures::run(&args),
        Command::Cite(args) => cite::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::List(args) => list::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => completions::man(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_short_help_is_longer_than_a_page() {
        for command in described().get_subcommands_mut() {
            let help = command.clone().term_width(100).render_help().to_string();
            let lines = help.lines().count();
            assert!(lines <= 45, "{help}");
            let (examples, options) = (help.find("Example"), help.find("Options:"));
            let first = examples.is_none_or(|at| options.is_some_and(|options| at < options));
            assert!(first, "{}: examples come before options", command.get_name());
        }
    }

    /// The words of a line as a shell has them, quotes and all, without a comment behind it.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, ' ') => words.extend(word.take()),
                (None, '#') if word.is_none() => break,
                (_, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn every_command_of_the_readme_can_be_read() {
        let mut count = 0;
        for block in include_str!("../../README.md").split("```sh\n").skip(1) {
            let block = block.split("```").next().unwrap().replace("\\\n", " ");
            for line in block.lines().filter(|line| line.starts_with("epsball ")) {
                let read = read(words(line).into_iter().map(Into::into).collect());
                assert!(read.is_ok(), "{line}\n{}", read.unwrap_err());
                count += 1;
            }
        }
        assert!(count > 30, "{count}");
    }
}
