//! `epsball completions` and `epsball man`: what a shell and `man` know about the program, made from the command line
//! itself.

use std::path::PathBuf;

use super::exit;
use super::output::{Ended, Failure, say, show_board};
use crate::error::Error;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  epsball completions bash > ~/.local/share/bash-completion/completions/epsball\n  \
epsball completions zsh > ~/.zfunc/_epsball\n  epsball completions fish > ~/.config/fish/completions/epsball.fish"
)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write a page for every subcommand into this folder; without it the page of the program is printed
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Prints what `shell` has to load.
pub(super) fn run(args: &Args, mut command: clap::Command) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "epsball", &mut script);
    show_board(String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}

/// Prints or writes manual pages.
pub(super) fn man(args: &ManArgs, command: clap::Command) -> Ended {
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let written = clap_mangen::generate_to(command, folder);
        written.map_err(|e| Failure::Late(Error::io("write in", folder)(e)))?;
        say(format_args!("wrote the pages into {}", folder.display()));
        return Ok(exit::OK);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Failure::Stdout)?;
    show_board(String::from_utf8_lossy(&page))?;
    Ok(exit::OK)
}
