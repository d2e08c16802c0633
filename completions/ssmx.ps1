# TAB for ssmx in PowerShell; made by `ssmx completions powershell`.
Register-ArgumentCompleter -Native -CommandName ssmx -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = @()
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        # The text as it stands: nothing of the line is ever evaluated.
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $before += $element.Value
        } else {
            $before += $element.Extent.Text
        }
    }
    $current = $wordToComplete.Trim('"', "'")
    $program = Get-Command -Name ssmx -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -eq $program) { return }
    $answer = @(& $program.Source __complete powershell @before ":$current" 2>$null)
    if ($answer.Count -eq 0) { return }
    foreach ($line in ($answer | Select-Object -Skip 1)) {
        $value, $help = $line -split "`t", 2
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
    }
    if (" $($answer[0]) ".Contains(' files ')) {
        [System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete)
    }
}
