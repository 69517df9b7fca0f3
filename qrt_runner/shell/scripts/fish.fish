# Tab completion of qrt_runner in fish: groups, options, fields and values, as Hydra knows them.

function __qrt_runner_complete
    set -l words (commandline -opc)
    set -l asked $words[1]
    if string match -qr '(^|/)python[0-9.]*$' -- $words[1]
        set asked $words[1] -m qrt_runner
    end
    set -l found (COMP_LINE=(commandline -cp) $asked -sc query=fish 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
        return
    end
    # The value is a path.
    set -l parts (string split -m 1 = -- (commandline -ct))
    if test (count $parts) -eq 2
        for file in (__fish_complete_path $parts[2])
            echo $parts[1]=$file
        end
    end
end

function __qrt_runner_is_module
    set -l words (commandline -opc)
    test (count $words) -ge 3; and test "$words[2] $words[3]" = "-m qrt_runner"
end

complete -c qrt-runner -f -a '(__qrt_runner_complete)'
complete -c python -n __qrt_runner_is_module -f -a '(__qrt_runner_complete)'
complete -c python3 -n __qrt_runner_is_module -f -a '(__qrt_runner_complete)'
