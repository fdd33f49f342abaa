#!/usr/bin/env bash
# Consumes one partition of the queue with bash (4 or later) and redis-cli.
#
#     REDIS_URL=redis://localhost:6379/0 GROUP=billing ./redis_cli.sh
#
# Each message is handled at least once: it is acknowledged after the work, and what a crashed
# process left is taken over. A message whose id was handled before is not handled again.
set -uo pipefail

url=${REDIS_URL:-redis://localhost:6379/0}
stream="{${QUEUE_NAMESPACE:-fota}:${PARTITION:-0}}:messages"
group=${GROUP:-redis-cli}
# One name for each process that runs at a time, and the same one after a restart.
consumer=${CONSUMER:-$(hostname)}
# Longer than the slowest handler takes: after that others may take its message over.
take_over_after_ms=${TAKE_OVER_AFTER_MS:-60000}
handled_for_s=$((7 * 24 * 3600))

# The user and the password of the URL, apart: in an argument everybody on the machine could read them. redis-cli takes
# the password from its environment.
login=()
if [[ $url =~ ^([a-z]+://)([^/]*)@(.*)$ ]]; then
    url=${BASH_REMATCH[1]}${BASH_REMATCH[3]} user=${BASH_REMATCH[2]}
    # %40 is an @; a backslash is itself.
    password=${user#*:} password=${password//\\/\\\\}
    printf -v REDISCLI_AUTH '%b' "${password//%/\\x}"
    export REDISCLI_AUTH
    [[ $user == ?*:* ]] && login=(--user "${user%%:*}")
fi

# Your work: the message's attributes are in `fields`, its JSON in ${fields[data]}. If it fails,
# the message comes again after take_over_after_ms.
handle() {
    echo "${fields[id]} ${fields[kind]} ${#fields[data]} characters"
}

# Runs a command; its reply goes to `reply`, quoted: a text of any sender is one line.
redis() {
    reply=$(redis-cli -u "$url" ${login[@]+"${login[@]}"} --no-auth-warning --no-raw "$@" 2>&1) && [[ $reply != '(error)'* ]]
}

# Handles the entry in `reply`, if there is one, once, and acknowledges it.
work() {
    local texts=() line text entry number
    while IFS= read -r line; do
        # What comes before the first quote is redis-cli's numbering.
        if [[ $line =~ \"(.*)\"$ ]]; then
            text=${BASH_REMATCH[1]//'\"'/'"'}
            printf -v text '%b' "$text"
            texts+=("$text")
        fi
    done <<<"$reply"
    # The first is the stream's name, or where XAUTOCLAIM would go on; then the entry and its fields.
    ((${#texts[@]} > 2)) || return 0
    entry=${texts[1]}
    declare -A fields=()
    for ((number = 2; number + 1 < ${#texts[@]}; number += 2)); do
        fields[${texts[number]}]=${texts[number + 1]}
    done
    # Anybody may add an entry that is no message. It stays pending, for somebody to look at.
    if [[ -z ${fields[id]-} || -z ${fields[kind]-} || -z ${fields[data]-} ]]; then
        echo "$entry is no message" >&2
        return
    fi
    redis EXISTS "$group:handled:${fields[id]}" || return
    if [[ $reply == '(integer) 0' ]]; then
        handle || return 0
        # After the work: a crash between the two does the work twice rather than never.
        redis SET "$group:handled:${fields[id]}" "$entry" EX "$handled_for_s" || return
    fi
    redis XACK "$stream" "$group" "$entry"
}

# Handles an entry that was read long ago and never acknowledged, and one that is new.
turn() {
    redis XAUTOCLAIM "$stream" "$group" "$consumer" "$take_over_after_ms" "$start" COUNT 1 || return
    # It looked at a few of those that are pending, and says first where the next turn has to go on.
    [[ $reply =~ \"([0-9]+-[0-9]+)\" ]] && start=${BASH_REMATCH[1]}
    work &&
        redis XREADGROUP GROUP "$group" "$consumer" COUNT 1 BLOCK 1000 STREAMS "$stream" '>' && work
}

start=0-0
stopping=false
trap 'stopping=true' TERM INT
until $stopping; do
    turn || $stopping && continue
    echo "again in a moment: $reply" >&2
    sleep 0.5
    # From the oldest entry there is. That the group exists already is no problem.
    redis XGROUP CREATE "$stream" "$group" 0 MKSTREAM || true
done
