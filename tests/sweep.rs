//! A suite by many processes: on this machine, and through a Slurm that is made of two scripts.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use support::{Ran, SMALL_SUITE, Sandbox, tables};

fn whole() -> (Sandbox, Vec<(String, String)>) {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL_SUITE);
    let ran = sandbox.run(&["run", "small.toml", "-o", "whole"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let tables = tables(&sandbox.path("whole"));
    (sandbox, tables)
}

fn executable(sandbox: &Sandbox, file: &str, text: &str) {
    let path = sandbox.write(file, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// `epsball` with the sandbox's `bin` in front of the path.
fn with_bin(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let mut command: Command = sandbox.command(arguments);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", sandbox.path("bin").display()));
    sandbox.finish(command)
}

#[test]
fn processes_of_this_machine_leave_the_tables_of_one() {
    let (sandbox, whole) = whole();
    let sweep = ["sweep", "small.toml", "-o", "swept", "-n", "3", "--every", "0.05"];
    let ran = sandbox.run(&sweep);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(tables(&sandbox.path("swept")), whole);
    assert!(ran.stdout.contains("digits-standard"), "{}", ran.stdout);
    assert!(sandbox.path("swept/sweep/process-3.log").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_is_killed_is_followed_by_another() {
    let (sandbox, whole) = whole();
    let sweep = ["sweep", "small.toml", "-o", "swept", "-n", "1", "--every", "0.02"];
    let sweep = sandbox.command(&sweep).spawn().unwrap();
    let jobs = sandbox.path("swept/jobs");
    while !jobs.exists() {
        std::thread::yield_now();
    }
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", sweep.id()));
    let children = children.unwrap();
    let killed = Command::new("kill").arg("-KILL").args(children.split_whitespace()).status();
    assert!(killed.unwrap().success());
    let output = sweep.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("process 1 ended with signal: 9"), "{told}");
    assert_eq!(tables(&sandbox.path("swept")), whole);
}

#[test]
fn what_every_process_would_find_is_found_once() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", format!("{SMALL_SUITE}\n[[attack]]\nattack = \"pgq\"\n"));
    let ran = sandbox.run(&["sweep", "small.toml", "-o", "swept"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("unknown attack `pgq`"), "{}", ran.stderr);
    assert!(!sandbox.path("swept").exists());
    let ran = sandbox.run(&["sweep", "--engine", "slum"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("unknown engine `slum`"), "{}", ran.stderr);
    let nobody = sandbox.run(&["sweep", "-n", "0"]);
    assert_eq!(nobody.code, 2);
}

/// Everything that can be asked for.
const CLUSTER: &str = r#"
[cluster]
partition = "gpu"
time = "02:00:00"
memory = "8G"
gres = "gpu:1"
cpus = 1
at_once = 2
options = ["--constraint=a100"]
modules = ["cuda/12.4"]
setup = ["export A=1"]
container = "env"
"#;

/// Kills the first array's only task in its middle; runs all tasks of the others at the same time.
const SBATCH: &str = r#"#!/bin/bash
[ "$1" = --parsable ] || exit 7
bin=$(dirname "$0")
n=$(sed -n 's/^#SBATCH --array=1-\([0-9]*\).*/\1/p' "$2")
count=$(cat "$bin/count" 2>/dev/null || echo 0)
echo $((count + 1)) > "$bin/count"
if [ "$count" = 0 ]; then
    bash "$2" > /dev/null 2>&1 & pid=$!
    sleep 0.3
    kill -KILL $pid
else
    for task in $(seq "$n"); do bash "$2" > /dev/null 2>&1 & done
    wait
fi
echo "$((count + 41));cluster"
"#;

#[test]
fn a_job_array_is_submitted_until_nothing_is_left() {
    let (sandbox, whole) = whole();
    let cluster = CLUSTER.replace("modules = [\"cuda/12.4\"]\n", "");
    sandbox.write("small.toml", format!("{SMALL_SUITE}{cluster}"));
    executable(&sandbox, "bin/sbatch", SBATCH);
    executable(&sandbox, "bin/squeue", "#!/bin/sh\n[ \"$2\" = --jobs ] || exit 7\n");
    let sweep = "sweep small.toml -o swept --engine slurm -n 3 --every 0.05";
    let ran = with_bin(&sandbox, &sweep.split(' ').collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("slurm.sh as job 41"), "{}", ran.stderr);
    assert!(ran.stderr.contains("job 41 has ended and"), "{}", ran.stderr);
    assert!(ran.stderr.contains("slurm.sh as job 42"), "{}", ran.stderr);
    assert_eq!(tables(&sandbox.path("swept")), whole);
    // Without a restart the first array is the last one.
    std::fs::remove_file(sandbox.path("bin/count")).unwrap();
    let once = "sweep small.toml -o once --engine slurm --restarts 0 --every 0.05";
    let ran = with_bin(&sandbox, &once.split(' ').collect::<Vec<_>>());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("jobs are not finished:"), "{}", ran.stderr);
}

#[test]
fn the_script_says_what_the_suite_asks_for() {
    let sandbox = Sandbox::new();
    let program = "program = \"/opt/epsball\"\n";
    sandbox.write("small.toml", format!("{SMALL_SUITE}{CLUSTER}{program}"));
    let sweep = |more: &[&str]| {
        let sweep = ["sweep", "small.toml", "-o", "a b", "-n", "16", "--engine", "slurm"];
        sandbox.run(&[&sweep[..], &["--dry-run"], more].concat())
    };
    let ran = sweep(&["--seed", "3"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let expected = "#!/bin/bash\n\
        #SBATCH --job-name=small\n\
        #SBATCH --array=1-16%2\n\
        #SBATCH --output=a b/sweep/slurm-%A-%a.log\n\
        #SBATCH --signal=B:INT@60\n\
        #SBATCH --partition=gpu\n\
        #SBATCH --time=02:00:00\n\
        #SBATCH --mem=8G\n\
        #SBATCH --gres=gpu:1\n\
        #SBATCH --cpus-per-task=1\n\
        #SBATCH --constraint=a100\n\n\
        module load cuda/12.4\n\
        export A=1\n\
        exec env /opt/epsball --threads 1 run small.toml --output 'a b' --seed 3\n";
    assert_eq!(ran.stdout, expected);
    assert!(!sandbox.path("a b").exists());
    sandbox.write("small.toml", format!("{SMALL_SUITE}{CLUSTER}template = \"own.sh\"\n"));
    sandbox.write("own.sh", "#!/bin/zsh\n@OPTIONS@\nsrun @COMMAND@\n");
    let ran = sweep(&[]);
    assert!(ran.stdout.starts_with("#!/bin/zsh\n#SBATCH --job-name=small\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nsrun env "), "{}", ran.stdout);
    sandbox.write("own.sh", "#!/bin/zsh\nepsball run\n");
    let ran = sweep(&[]);
    assert_eq!(ran.code, 2);
    let says = "own.sh: @COMMAND@: the template says nowhere";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    sandbox.write("small.toml", format!("{SMALL_SUITE}\n[cluster]\npartitoin = \"gpu\"\n"));
    let ran = sweep(&[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("partition"), "{}", ran.stderr);
}
