#!/usr/bin/env bash
# Runs a command beside a Slurm of one node, which is started for it in a temporary folder and ended behind it:
#   scripts/slurm.sh cargo test --locked --test sweep -- --ignored
# Debian's packages slurmctld, slurmd and slurm-client have to be there; none of their services has to run.
set -euo pipefail
# Debian puts the daemons where not every user's PATH leads.
PATH=$PATH:/usr/sbin
for tool in slurmctld slurmd sinfo squeue scancel; do
    if ! command -v "$tool" > /dev/null; then
        echo "$tool is missing: install slurmctld, slurmd and slurm-client" >&2
        exit 2
    fi
done

folder=$(mktemp -d)
host=$(hostname -s)
user=$(id -un)
# Two of these may run at once, so the ports are drawn.
port=$((20000 + RANDOM % 5000 * 2))
mkdir "$folder/state" "$folder/spool"
cat > "$folder/slurm.conf" << CONF
ClusterName=test
# Everything goes over the loopback device, and nothing else is listened on: with auth/none every caller is believed.
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/none
CredType=cred/none
SlurmUser=$user
SlurmdUser=$user
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
# Processes are followed through /proc: a container often has no cgroup that Slurm may write to.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
ReturnToService=2
MaxArraySize=1001
# A job starts as soon as it can, and not at the next look of a minute.
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
KillWait=2
JobRequeue=0
MailProg=/bin/true
# The node has what its line says, whatever the machine has.
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=4096 State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE DefaultTime=10 State=UP
CONF
echo "# No cgroup is used." > "$folder/cgroup.conf"
export SLURM_CONF=$folder/slurm.conf

end() {
    scancel --user="$user" 2> /dev/null || true
    for _ in $(seq 50); do
        [ -n "$(squeue --noheader 2> /dev/null || true)" ] || break
        sleep 0.2
    done
    for daemon in slurmctld slurmd; do
        kill "$(cat "$folder/$daemon.pid" 2> /dev/null)" 2> /dev/null || true
    done
    sleep 1
    rm -rf "$folder"
}
trap end EXIT
slurmctld -c > /dev/null 2>&1
slurmd -c > /dev/null 2>&1
for _ in $(seq 150); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null || true)" = idle ] && break
    sleep 0.2
done
if [ "$(sinfo --noheader --format=%T || true)" != idle ]; then
    cat "$folder"/*.log >&2
    exit 1
fi
"$@"
