# Tab completion of qrt_runner in zsh: groups, options, fields and values, as Hydra knows them.

_qrt_runner_complete() {
    local found
    local -a open closed asked
    asked=("${(e)words[1]/#\~/$HOME}")
    if [[ ${words[1]:t} == python* ]]; then
        if [[ "${words[2]} ${words[3]}" != "-m qrt_runner" || $CURRENT -lt 4 ]]; then
            (( $+functions[_python] || $+_comps[-python-] )) && _python "$@" || _default "$@"
            return
        fi
        asked+=(-m qrt_runner)
    fi
    for found in "${(@f)$(COMP_LINE="$LBUFFER" "${asked[@]}" -sc query=zsh 2>/dev/null)}"; do
        case $found in
            '') ;;
            *[=./]) open+=("$found") ;;
            *) closed+=("$found") ;;
        esac
    done
    if (( $#open + $#closed == 0 )); then
        compset -P '*='
        _files
        return
    fi
    (( $#open )) && compadd -S '' -- $open
    (( $#closed )) && compadd -- $closed
}

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
autoload -Uz _python
compdef _qrt_runner_complete qrt-runner python python3
