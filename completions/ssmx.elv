# TAB for ssmx in elvish; made by `ssmx completions elvish`.
use str
set edit:completion:arg-completer[ssmx] = {|@words|
    var answer = [(try { (external ssmx) __complete elvish (all $words[1..-1]) ':'$words[-1] 2>/dev/null } catch { } | from-lines)]
    if (> (count $answer) 0) {
        for line $answer[1..] {
            var parts = [(str:split &max=2 "\t" $line)]
            if (== (count $parts) 2) {
                edit:complex-candidate $parts[0] &display=$parts[0]'  '$parts[1]
            } else {
                put $parts[0]
            }
        }
        if (str:contains ' '$answer[0]' ' ' files ') {
            edit:complete-filename $@words
        }
    }
}
