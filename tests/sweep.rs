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

/// Says once that two tasks run and one waits for ever, and then that nothing is left.
const SQUEUE: &str = r#"#!/bin/bash
[ "$*" = "--noheader --array --format=%T %r --jobs $5" ] || exit 7
bin=$(dirname "$0")
if [ ! -e "$bin/asked-$5" ]; then
    printf 'RUNNING None\nRUNNING None\nPENDING PartitionConfig\n'
    touch "$bin/asked-$5"
fi
"#;

#[test]
fn a_job_array_is_submitted_until_nothing_is_left() {
    let (sandbox, whole) = whole();
    let cluster = CLUSTER.replace("modules = [\"cuda/12.4\"]\n", "");
    sandbox.write("small.toml", format!("{SMALL_SUITE}{cluster}"));
    executable(&sandbox, "bin/sbatch", SBATCH);
    executable(&sandbox, "bin/squeue", SQUEUE);
    let sweep = "sweep small.toml -o swept --engine slurm -n 3 --every 0.05";
    let ran = with_bin(&sandbox, &sweep.split(' ').collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("slurm.sh as job 41"), "{}", ran.stderr);
    let state = "job 41: 1 pending (PartitionConfig), 2 running\n";
    assert!(ran.stderr.contains(state), "{}", ran.stderr);
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
        #SBATCH --output=\"a b/sweep/slurm-%A-%a.log\"\n\
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

/// Runs all tasks of a job at once, or, the first time, kills the first one and runs no other.
const HQ: &str = r##"#!/bin/bash
bin=$(dirname "$0")
case "$*" in
"--output-mode quiet submit "*)
    script=${!#}
    n=$(sed -n 's/^#HQ --array=1-//p' "$script")
    count=$(cat "$bin/count" 2>/dev/null || echo 0)
    echo $((count + 1)) > "$bin/count"
    if [ "$count" = 0 ]; then
        bash "$script" > /dev/null 2>&1 & pid=$!
        sleep 0.3
        kill -KILL $pid
    else
        for task in $(seq "$n"); do bash "$script" > /dev/null 2>&1 & done
        wait
    fi
    echo $((count + 7)) ;;
"--output-mode json job list")
    if [ ! -e "$bin/asked" ]; then
        touch "$bin/asked"
        echo '[{"id": 7, "name": "small", "task_count": 3, "task_stats":
            {"running": 1, "finished": 0, "failed": 0, "canceled": 0, "waiting": 2}}]'
    else
        echo '[]'
    fi ;;
*) exit 7 ;;
esac
"##;

#[test]
fn a_job_of_hyperqueue_is_submitted_until_nothing_is_left() {
    let (sandbox, whole) = whole();
    sandbox.write("small.toml", format!("{SMALL_SUITE}\n[cluster]\ncpus = 1\ntime = \"1h\"\n"));
    executable(&sandbox, "bin/hq", HQ);
    let sweep = "sweep small.toml -o swept --engine hyperqueue -n 3 --every 0.05";
    let sweep: Vec<&str> = sweep.split(' ').collect();
    let dry = with_bin(&sandbox, &[&sweep[..], &["--dry-run"]].concat());
    let expected = "#!/bin/bash\n\
        #HQ --name=small\n\
        #HQ --array=1-3\n\
        #HQ --stdout=none\n\
        #HQ --stderr=swept/sweep/hyperqueue-%{JOB_ID}-%{TASK_ID}.log\n\
        #HQ --time-limit=1h\n\
        #HQ --cpus=1\n\n\n\
        exec ";
    assert!(dry.stdout.starts_with(expected), "{}", dry.stdout);
    let ran = with_bin(&sandbox, &sweep);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for told in [
        "hyperqueue.sh as job 7",
        "job 7: 1 running, 2 waiting\n",
        "job 7 has ended and",
        "hyperqueue.sh as job 8",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    assert_eq!(tables(&sandbox.path("swept")), whole);
    sandbox.write("small.toml", format!("{SMALL_SUITE}{CLUSTER}"));
    let ran = with_bin(&sandbox, &sweep);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("cluster: partition: HyperQueue takes no such"), "{}", ran.stderr);
}

/// What is wrong with a cluster is said before a process is started.
#[test]
fn a_queue_that_is_not_there_or_does_not_answer_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL_SUITE);
    let sweep = ["sweep", "small.toml", "-o", "swept", "--engine", "slurm"];
    let mut command = sandbox.command(&sweep);
    command.env("PATH", sandbox.path("bin"));
    let ran = sandbox.finish(command);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("sbatch: there is no such program"), "{}", ran.stderr);
    executable(
        &sandbox,
        "bin/sbatch",
        "#!/bin/sh\necho 'sbatch: error: Invalid job array specification' >&2\nexit 1\n",
    );
    let ran = with_bin(&sandbox, &sweep);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("MaxArraySize"), "{}", ran.stderr);
    sandbox.write("small.toml", format!("{SMALL_SUITE}\n[cluster]\ncpus = 0\n"));
    let ran = with_bin(&sandbox, &sweep);
    assert!(ran.code == 2 && ran.stderr.contains("0 cores compute nothing"), "{}", ran.stderr);
}

/// A real Slurm of this machine: `scripts/slurm.sh cargo test --locked --test sweep -- --ignored`.
#[test]
#[ignore = "needs a Slurm"]
fn a_real_slurm_runs_the_suite_while_tasks_are_killed_cancelled_and_out_of_time() {
    let (sandbox, whole) = whole();
    sandbox.write("small.toml", format!("{SMALL_SUITE}\n[cluster]\ncpus = 1\n"));
    let sweep = |folder: &str| {
        let words = format!("sweep small.toml -o {folder} --engine slurm -n 4 --every 0.5");
        sandbox.command(&words.split(' ').collect::<Vec<_>>()).spawn().unwrap()
    };
    // Undisturbed, in a folder whose name has to be quoted.
    let folder = "100%a";
    let ran = sweep(folder).wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(tables(&sandbox.path(folder)), whole);
    let logs = std::fs::read_dir(sandbox.path(folder).join("sweep")).unwrap();
    let logs = logs.filter(|log| log.as_ref().unwrap().path().extension().unwrap() == "log");
    assert_eq!(logs.count(), 4);
    // Tasks that are asked to stop before their time is over: the notice comes some 15 seconds after the start of a
    // minute's limit, and then the array is submitted again.
    let slow = "\n[[attack]]\nattack = \"pgd\"\nnorm = \"Linf\"\neps = 0.02\nlabel = \"slow\"\n\
        parameters = { steps = 20000, iterate = \"last\" }\n[cluster]\ncpus = 1\ntime = \"1\"\n";
    sandbox.write("slow.toml", format!("{SMALL_SUITE}{slow}").replace("\"small\"", "\"slow\""));
    let ran = sandbox.run(&["run", "slow.toml", "-o", "slow"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let words = "sweep slow.toml -o timed --engine slurm -n 1 --every 0.5 --restarts 20";
    let ran = sandbox.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("left: again"), "{}", ran.stderr);
    assert_eq!(tables(&sandbox.path("timed")), tables(&sandbox.path("slow")));
    // One task killed, one cancelled, as soon as there is something to lose.
    let child = sweep("swept");
    let jobs = sandbox.path("swept/jobs");
    while !jobs.exists() {
        std::thread::yield_now();
    }
    let mine = "run small.toml --output swept";
    while !Command::new("pkill").args(["-KILL", "-o", "-f", mine]).status().unwrap().success() {
        std::thread::yield_now();
    }
    let queue = Command::new("squeue").args(["--noheader", "--array", "--format=%i"]).output();
    let queue = String::from_utf8(queue.unwrap().stdout).unwrap();
    if let Some(task) = queue.lines().last() {
        Command::new("scancel").arg(task.trim()).status().unwrap();
    }
    let ran = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{told}");
    assert_eq!(tables(&sandbox.path("swept")), whole, "{told}");
}
