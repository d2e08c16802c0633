# TAB for ssmx in fish; made by `ssmx completions fish`.
function __ssmx_complete
    set -l before (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l answer (command ssmx __complete fish $before[2..-1] ":$current" 2>/dev/null)
    if string match --quiet --entire -- ' files ' " $answer[1] "
        __fish_complete_path "$current"
    end
    printf '%s\n' $answer[2..-1]
end
complete --command ssmx --no-files --keep-order --arguments '(__ssmx_complete)'
