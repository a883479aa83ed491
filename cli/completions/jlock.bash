# Bash completion for jlock(1).
# shellcheck shell=bash

# Where DIR is in the command line: the first word after the command that is neither an option nor an option's value.
# Prints its index, or nothing.
_jlock_dir() {
    local i
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -[jwEtc] | --journal | --wait | --timeout | --conflict-exit-code | --timestamp | --count) ((i++)) ;;
            -*) ;;
            *)
                echo "$i"
                return
                ;;
        esac
    done
}

_jlock_options() {
    local locking='-w --wait --timeout -n --nonblock --nb -E --conflict-exit-code'
    local printing='--json --changed -d --deleted -0 --null'
    local reading='--stdin -0 --null --sync --no-create'
    local all='-j --journal -h --help'
    case $1 in
        run) echo "$all $locking --keepalive --no-keepalive --no-create" ;;
        append | delete) echo "$all $locking $reading" ;;
        stamp) echo "$all $locking $reading -t --timestamp -d --deleted --reset" ;;
        read) echo "$all $printing" ;;
        checkpoint) echo "$all $locking $printing -t --timestamp --sync" ;;
        status) echo "$all --json -q --quiet" ;;
        watch) echo "$all --json -c --count" ;;
        probe) echo "--json -h --help" ;;
    esac
}

_jlock() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} dir
    local commands='run append delete stamp read checkpoint status watch probe'
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands help --help --version" -- "$word")
        return
    fi
    if [[ $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
        return
    fi
    case $before in
        -[jwEtc] | --journal | --wait | --timeout | --conflict-exit-code | --timestamp | --count) return ;;
    esac
    dir=$(_jlock_dir)
    if [[ -n $dir && $command == @(run|checkpoint) && ($word != -* || " ${COMP_WORDS[*]:dir} " == *' -- '*) ]]; then
        [[ ${COMP_WORDS[dir + 1]} == -- ]] && ((COMP_CWORD > dir + 1)) && ((dir++))
        if ((COMP_CWORD > dir + 1)) && declare -F _command_offset >/dev/null; then
            _command_offset $((dir + 1)) # bash-completion's: the command's own completion
        else
            mapfile -t COMPREPLY < <(compgen -c -- "$word")
        fi
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_jlock_options "$command")" -- "$word")
    elif [[ -z $dir ]]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
    elif [[ $command == @(append|delete|stamp) ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
    compopt -o filenames 2>/dev/null || true # fails only if no completion is under way
}

complete -F _jlock jlock
