# Tab completion of qrt_runner in fish: groups, options, fields and values, as Hydra knows them.

function __qrt_runner_complete
    set -l words (commandline -opc)
    set -l asked $words[1]
    if string match -qr '(^|/)python[0-9.]*$' -- $words[1]
        set asked $words[1] -m qrt_runner
    end
    COMP_LINE=(commandline -cp) $asked -sc query=fish 2>/dev/null
end

function __qrt_runner_is_module
    set -l words (commandline -opc)
    test (count $words) -ge 3; and test "$words[2] $words[3]" = "-m qrt_runner"
end

complete -c qrt-runner -a '(__qrt_runner_complete)'
complete -c python -n __qrt_runner_is_module -a '(__qrt_runner_complete)'
complete -c python3 -n __qrt_runner_is_module -a '(__qrt_runner_complete)'
