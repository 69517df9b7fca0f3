# Tab completion of qrt_runner in bash: groups, options, fields and values, as Hydra knows them.
# Hydra's own script cannot tell `python -m qrt_runner` from any other `python`; this one asks nobody else.

_qrt_runner_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" found whole
    local -a words asked
    read -ra words <<<"$line"
    asked=("${words[0]/#\~/$HOME}")
    if [[ ${words[0]##*/} == python* ]]; then
        if [[ "${words[1]} ${words[2]}" != "-m qrt_runner" || ${#words[@]} -eq 3 && $line != *[[:space:]] ]]; then
            [[ -n $_qrt_runner_other_python ]] && "$_qrt_runner_other_python" "$@"
            return
        fi
        asked+=(-m qrt_runner)
    fi
    # Bash replaces only what stands behind the last of its word breaks, of which `=` is one.
    whole="${line##*[[:space:]]}"
    COMPREPLY=()
    while IFS= read -r found; do
        [[ -n $found ]] && COMPREPLY+=("${found#"${whole%"$2"}"}")
    done < <(COMP_LINE="$line" "${asked[@]}" -sc query=bash 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} == *[=./] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

_qrt_runner_other_python=""
complete -p python >/dev/null 2>&1 ||
    { declare -F _comp_load >/dev/null && _comp_load python; } ||
    { declare -F _completion_loader >/dev/null && _completion_loader python; }
if [[ $(complete -p python 2>/dev/null) =~ \ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != _qrt_runner_complete ]]; then
    _qrt_runner_other_python="${BASH_REMATCH[1]}"
fi
complete -o bashdefault -o default -F _qrt_runner_complete qrt-runner python python3
